"""Visits: what the events of a frame say of its steps, visit by visit and attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.core.events import EventType
from engine.core.places import Places
from engine.runtime.inspecting import Fact

RUNNING, WAITING, RETRYING = "running", "waiting", "retrying"
PAUSED = "paused"
SUCCEEDED, CAUGHT, FAILED, SKIPPED, ABORTED = "succeeded", "caught", "failed", "skipped", "aborted"
OPEN_STATES = frozenset({RUNNING, WAITING, RETRYING})


@dataclass(slots=True)
class Attempt:
    """One try of a task. Times are seconds since the epoch, None: not yet; ids are of events."""

    number: int
    scheduled: float
    delay_s: float
    input_event: int
    started: float | None = None
    worker: str = ""
    ended: float | None = None
    end_event: int = 0
    error: str = ""
    cause: str = ""


@dataclass(slots=True)
class Visit:
    """One visit of a step. `state`: one of the words above; `child`: the execution it started."""

    path: str
    name: str
    frame: str
    entered: float
    entered_event: int
    state: str = RUNNING
    ended: float | None = None
    exited_event: int = 0
    error: str = ""
    cause: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    child: tuple[str, str] | None = None
    by: str = ""
    opened: dict[str, Any] | None = None
    closed: dict[str, Any] | None = None


def visits_of(facts: Iterable[Fact], places: Places) -> list[Visit]:
    """The visits that events tell of, in the order of their beginnings."""
    reading = _Reading(places)
    for fact in facts:
        if fact.step_name:
            reading.take(fact)
    return reading.visits


class _Reading:
    def __init__(self, places: Places) -> None:
        self.visits: list[Visit] = []
        self._places = places
        self._open: dict[tuple[str, str], Visit] = {}

    def take(self, fact: Fact) -> None:
        key = (fact.frame, fact.step_name)
        if fact.type is EventType.STEP_ENTERED:
            self._enter(fact)
        elif (visit := self._open.get(key)) is not None:
            _tell(visit, fact)
            if fact.type is EventType.STEP_EXITED:
                del self._open[key]

    def _enter(self, fact: Fact) -> None:
        path = self._places.path_of(fact.frame, fact.step_name)
        if path is not None:
            visit = Visit(path, fact.step_name, fact.frame, fact.time, fact.event_id)
            self._open[(fact.frame, fact.step_name)] = visit
            self.visits.append(visit)


def _tell(visit: Visit, fact: Fact) -> None:
    """Takes the next event of a visit in."""
    match fact.type:
        case EventType.STEP_SUCCEEDED:
            failed = bool(visit.attempts) and bool(visit.attempts[-1].error)
            visit.state = SKIPPED if visit.state == SKIPPED else CAUGHT if failed else SUCCEEDED
        case EventType.STEP_FAILED:
            visit.state = FAILED
            visit.error, visit.cause = _failure(fact.detail)
        case EventType.STEP_SKIPPED:
            visit.state, visit.by = SKIPPED, str(fact.detail.get("by") or "")
        case EventType.STEP_EXITED:
            _leave(visit, fact)
        case EventType.STREAM_OPENED:
            visit.opened, visit.closed = fact.detail, None
        case EventType.STREAM_CLOSED:
            visit.closed = fact.detail
        case _:
            _tell_attempt(visit, fact)


def _leave(visit: Visit, fact: Fact) -> None:
    visit.ended, visit.exited_event = fact.time, fact.event_id
    if fact.detail.get("aborted"):
        visit.state = ABORTED
    elif visit.state in OPEN_STATES:
        visit.state = SUCCEEDED


def _tell_attempt(visit: Visit, fact: Fact) -> None:
    if fact.type is EventType.TASK_SCHEDULED:
        _schedule(visit, fact)
        return
    if not visit.attempts:
        return
    attempt = visit.attempts[-1]
    match fact.type:
        case EventType.TASK_STARTED:
            attempt.started = fact.time
            attempt.worker = str(fact.detail.get("worker") or "")
            visit.state = RUNNING
        case EventType.TASK_SUBMITTED:
            visit.state = WAITING
            _submit(visit, fact.detail)
        case EventType.TASK_SUCCEEDED:
            attempt.ended, attempt.end_event = fact.time, fact.event_id
        case EventType.TASK_FAILED | EventType.TASK_SUBMIT_FAILED | EventType.TASK_TIMED_OUT:
            attempt.ended, attempt.end_event = fact.time, fact.event_id
            attempt.error, attempt.cause = _failure(fact.detail)
            attempt.error = attempt.error or str(fact.type)
        case _:
            pass


def _schedule(visit: Visit, fact: Fact) -> None:
    detail = fact.detail
    number, delay_s = int(detail.get("attempt") or 1), float(detail.get("delay_s") or 0)
    visit.attempts.append(Attempt(number, fact.time, delay_s, fact.event_id))
    visit.state = RETRYING if number > 1 and delay_s else RUNNING


def _submit(visit: Visit, detail: dict[str, Any]) -> None:
    flow, name = detail.get("flowName"), detail.get("executionName")
    if flow and name:
        visit.child = (str(flow), str(name))


def _failure(detail: dict[str, Any]) -> tuple[str, str]:
    error, cause = detail.get("error") or "", detail.get("cause") or ""
    return str(error), cause if isinstance(cause, str) else str(cause)
