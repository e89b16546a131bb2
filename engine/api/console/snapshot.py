"""Snapshots: where the steps of a picture stand now, short enough to be sent often."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from engine.api.console.edges import closed_edges, live_edges
from engine.api.console.visits import (
    ABORTED,
    FAILED,
    OPEN_STATES,
    PAUSED,
    RUNNING,
    SUCCEEDED,
    WAITING,
    Visit,
    visits_of,
)
from engine.api.console.ways import ways_taken
from engine.core.events import EventType
from engine.core.frame import join_id
from engine.core.graph import Graph
from engine.core.places import Places
from engine.core.states import ExecutionStatus
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import ForeachStep, StreamStep, TaskStep
from engine.runtime.inspecting import Fact, Inspector, Outline, Summary

MOST_BARS = 300
"""Bars of a timeline: the visits that began last."""

MOST_SEGMENTS = 20
"""Attempts of a bar."""

CAUSE_LETTERS = 300
"""Letters of a cause that are sent; the attempt's own page has it all."""


@dataclass(slots=True)
class View:
    """Looks at one frame of one execution, again and again.

    `head`: the frame's last event, as `Inspector.outline` takes it.
    """

    inspector: Inspector
    graph: Graph
    frame: str = ""
    head: int = 0

    def take(self) -> dict[str, Any]:
        """The snapshot as it is sent. Raises ExecutionNotExists. Cost: O(what is new), bounded."""
        now, outline, visits = self._look()
        state = _state_of(self.frame, now, outline, visits)
        return {
            "execution": execution_of(now),
            "state": state,
            "whole": outline.whole,
            "passed": ways_taken(self.graph, visits, self.frame, state == SUCCEEDED),
            "steps": self._steps(visits, now),
            "bars": [_bar(visit) for visit in visits[-MOST_BARS:]],
            "streaming": any(_streams(visit) for visit in visits),
            "began": outline.facts[0].time if outline.facts else now.started_time,
        }

    def visits(self) -> tuple[Summary, list[Visit]]:
        """All visits of the frame's steps, with the execution in short."""
        now, _, visits = self._look()
        return now, visits

    def _look(self) -> tuple[Summary, Outline, list[Visit]]:
        now = self.inspector.summary()
        outline = self.inspector.outline(self.graph, now, self.frame, self.head)
        visits = visits_of(outline.facts, Places(self.graph))
        for visit in visits:
            _settle(visit, now, outline)
        return now, outline, visits

    def _steps(self, visits: list[Visit], now: Summary) -> dict[str, Any]:
        counts = Counter(visit.path for visit in visits)
        last = {visit.path: visit for visit in visits}
        return {path: self._step(visit, counts[path], now) for path, visit in last.items()}

    def _step(self, visit: Visit, count: int, now: Summary) -> dict[str, Any]:
        step = self.graph.node(visit.path).step
        told: dict[str, Any] = {
            "state": visit.state,
            "visits": count,
            "frame": visit.frame,
            "event": visit.entered_event,
            "began": visit.entered,
            "ended": visit.ended,
        }
        if visit.attempts:
            told["attempt"] = visit.attempts[-1].number
            told["worker"] = visit.attempts[-1].worker
        error, cause = failure_of(visit)
        if error:
            told |= {"error": error, "cause": cause[:CAUSE_LETTERS]}
        if visit.child is not None:
            told["child"] = list(visit.child)
        if visit.state == WAITING and isinstance(step, TaskStep):
            told["callback"] = step.pattern == "waitForCallback"
        if isinstance(step, ForeachStep):
            told["items"] = self._items(visit, step, now)
        if isinstance(step, StreamStep) and visit.opened is not None:
            told["edges"] = self._edges(visit, step)
        return told

    def _items(self, visit: Visit, step: ForeachStep, now: Summary) -> dict[str, int]:
        """The counters of a foreach: those that are kept of it, else what its end tells."""
        join = counters_of(self.inspector, visit)
        if join is not None:
            # A failure that was tolerated counts as done as well.
            failed = int(join["failed"])
            good = int(join["done"]) - min(failed, int(join["tolerated"]))
            running = int(join["active"]) if visit.ended is None else 0
            return _counters(int(join["total"]), good, failed, running)
        if visit.ended is None or visit.state != SUCCEEDED:
            return {}
        total = collection_size(self.inspector, visit, step)
        if step.tolerated_failures or step.tolerated_percent:
            return {"total": total}  # how many of them have failed is not kept
        return _counters(total, total, 0, 0)

    def _edges(self, visit: Visit, step: StreamStep) -> list[dict[str, Any]]:
        if visit.closed is not None:
            return closed_edges(visit.closed)
        if visit.ended is not None or visit.opened is None:
            return []
        return live_edges(self.inspector, visit.opened, [stage.name for stage in step.steps])


def _counters(total: int, good: int, failed: int, running: int) -> dict[str, int]:
    return {"total": total, "succeeded": good, "failed": failed, "running": running}


def counters_of(inspector: Inspector, visit: Visit) -> dict[str, Any] | None:
    """The counters that the store has of this visit of a foreach."""
    join = inspector.join(join_id(visit.frame, visit.name))
    if join is None or int(join["last"]) < visit.entered_event:
        return None
    return join if not visit.exited_event or int(join["last"]) <= visit.exited_event else None


def collection_size(inspector: Inspector, visit: Visit, step: ForeachStep) -> int:
    """How many items a visit of a foreach had. Cost: O(its input), which is kept."""
    facts = inspector.facts(visit.entered_event, visit.entered_event)
    given = resolved(inspector, facts[0]).get("input") if facts else None
    items = resolve_reference(step.collection, given or {})
    return len(items) if isinstance(items, list) else 0


def collection_size_of(view: View, event: int) -> int:
    """How many items the visit of a foreach has that began with that event."""
    _, visits = view.visits()
    visit = next((each for each in visits if each.entered_event == event), None)
    step = view.graph.node(visit.path).step if visit is not None else None
    if visit is None or not isinstance(step, ForeachStep):
        return 0
    join = counters_of(view.inspector, visit)
    return int(join["total"]) if join is not None else collection_size(view.inspector, visit, step)


def resolved(inspector: Inspector, fact: Fact) -> dict[str, Any]:
    """An event's detail with its large values. Raises LookupError: one is not there any more."""
    packer = inspector.runtime.store.packer
    return packer.unpack_detail(inspector.identity, fact.text)


def execution_of(now: Summary) -> dict[str, Any]:
    """An execution in short, as it is sent."""
    told = asdict(now) | {"status": now.status.value, "ended": now.status.ended}
    del told["archived"]
    return told


def failure_of(visit: Visit) -> tuple[str, str]:
    """The error and cause that a visit shows: its own, else those of its last failed attempt."""
    if visit.error or not visit.attempts:
        return visit.error, visit.cause
    last = next((each for each in reversed(visit.attempts) if each.error), visit.attempts[-1])
    return last.error, last.cause


def _settle(visit: Visit, now: Summary, outline: Outline) -> None:
    """An open visit is what its frame stands at; in an execution that has ended it was cut off."""
    if visit.ended is not None:
        return
    if now.status.ended:
        visit.state = FAILED if visit.error else ABORTED
        visit.ended = now.stopped_time
    elif now.status is ExecutionStatus.PAUSED and visit.state in OPEN_STATES:
        standing = outline.open_frames.get(visit.frame, {})
        visit.state = visit.state if standing.get("st") == "RUNNING" else PAUSED


def _state_of(frame: str, now: Summary, outline: Outline, visits: list[Visit]) -> str:
    """What a frame is at: of the flow its status, in small letters."""
    if not frame:
        return RUNNING if now.status is ExecutionStatus.STARTING else now.status.value.lower()
    last = next((fact for fact in reversed(outline.facts) if fact.frame == frame), None)
    if last is None or last.type not in (EventType.ITERATION_EXITED, EventType.BRANCH_EXITED):
        return ABORTED if now.status.ended else RUNNING
    if last.detail.get("aborted"):
        return ABORTED
    own = next((visit for visit in reversed(visits) if visit.frame == frame), None)
    return FAILED if own is not None and own.state == FAILED else SUCCEEDED


def _streams(visit: Visit) -> bool:
    return visit.opened is not None and visit.closed is None and visit.ended is None


def _bar(visit: Visit) -> dict[str, Any]:
    return {
        "path": visit.path,
        "name": visit.name,
        "frame": visit.frame,
        "event": visit.entered_event,
        "state": visit.state,
        "from": visit.entered,
        "to": visit.ended,
        "attempts": [
            {"number": each.number, "from": each.started or each.scheduled, "to": each.ended,
             "failed": bool(each.error)}
            for each in visit.attempts[-MOST_SEGMENTS:]
        ],
    }  # fmt: skip
