"""A simulated execution: its frames, joins and history, moved by the scheduler's decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, assert_never

from engine.core.commands import Await, Decision, Finish, Fork, RunTask, Sleep
from engine.core.events import Event, NewEvent
from engine.core.frame import Frame, index_of, parent_id
from engine.core.graph import Graph
from engine.core.happenings import (
    Happening,
    Joined,
    JoinFailed,
    RunInfo,
    TaskTimedOut,
    TimerFired,
)
from engine.core.outcomes import Failure, tolerance_exceeded
from engine.core.scheduler import abort, begin, decide, end_event, open_child, open_root
from engine.core.states import ExecutionStatus
from engine.core.steps import foreach_items
from engine.core.turns import first_and_last
from engine.fdl.model import ForeachStep
from engine.simulate.clock import VirtualClock

Fence = tuple[str, int, int]
"""A frame's turn, its step's visit and attempt: differs between any two attempts."""


@dataclass(slots=True)
class Join:
    """A fork whose children run: where its cursor is and what has come back."""

    fork: Fork
    parent: Frame
    items: list[Any] | None
    results: list[Any]
    cursor: int = 0
    ended: int = 0
    failures: int = 0


@dataclass(slots=True)
class SimulatedExecution:
    """One execution on the virtual clock.

    `run_task` runs the task that a frame stands at and tells `happen` what comes of it; what is in
    `ended` is called once, at the end.
    """

    graph: Graph
    flow: str
    name: str
    input: dict[str, Any]
    clock: VirtualClock
    run_task: Callable[[SimulatedExecution, Frame], None]
    token: Callable[[SimulatedExecution, Frame], str]
    ended: list[Callable[[SimulatedExecution], None]] = field(default_factory=list)
    random: Callable[[], float] | None = None
    status: ExecutionStatus = ExecutionStatus.STARTING
    output: dict[str, Any] | None = None
    error: str | None = None
    cause: str | None = None
    history: list[Event] = field(default_factory=list)
    frames: dict[str, Frame] = field(default_factory=dict)
    joins: dict[str, Join] = field(default_factory=dict)
    synced: dict[str, SimulatedExecution] = field(default_factory=dict)
    begun: dict[str, Fence] = field(default_factory=dict)
    last_ids: dict[str, int] = field(default_factory=dict)
    turns: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Has the execution begin, at the clock's present time."""
        self.clock.after(0.0, self._begin)
        if self.graph.flow.timeout_s is not None:
            self.clock.after(self.graph.flow.timeout_s, self._time_out, late=True)

    def happen(self, frame_id: str, fence: Fence, happening: Happening) -> bool:
        """Tells the frame what happened; False: it has gone on since, and nothing was done."""
        if not self.stands(frame_id, fence):
            return False
        if isinstance(happening, TaskTimedOut):
            self._stop_synced(frame_id)
        self.synced.pop(frame_id, None)
        self._apply(decide(self.graph, self.frames[frame_id], happening, self.info()))
        return True

    def stands(self, frame_id: str, fence: Fence) -> bool:
        """True while the frame is at that very attempt of its step."""
        frame = self.frames.get(frame_id)
        return frame is not None and fence_of(frame) == fence

    def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """Stops the execution, with its sync children; nothing happens when it has ended."""
        self._end_from_outside(ExecutionStatus.STOPPED, error, cause)

    def record(self, frame_id: str, *events: NewEvent) -> None:
        """Writes events into the history; each is caused by the one before it in its frame."""
        for event in events:
            number = len(self.history) + 1
            caused_by = self.last_ids.get(frame_id, 0)
            self.history.append(
                Event(
                    number,
                    event.type,
                    event.step_name,
                    frame_id,
                    self.clock.now,
                    caused_by,
                    event.detail,
                )
            )
            self.last_ids[frame_id] = number
            if event.begins_turn:
                self.turns.append(number)

    def info(self) -> RunInfo:
        """What decisions may know now."""
        return RunInfo(
            self.flow,
            self.name,
            lambda frame: self.token(self, frame),
            next_event_id=len(self.history) + 1,
            random=self.random,
            now=self.clock.now,
        )

    def _begin(self) -> None:
        if self.status is ExecutionStatus.STARTING:
            self.status = ExecutionStatus.RUNNING
            self._apply(begin(self.graph, open_root(self.graph, self.input), self.info()))

    def _time_out(self) -> None:
        self._end_from_outside(ExecutionStatus.TIMED_OUT, None, None)

    def _apply(self, decision: Decision) -> None:
        frame = decision.frame
        self.record(frame.id, *decision.events)
        self.frames[frame.id] = frame
        match decision.command:
            case RunTask(delay_s=delay_s):
                self._when_due(self.clock.now + delay_s, frame, self._run)
            case Await():
                pass
            case Sleep(duration_s=duration_s, until=until):
                due = until if duration_s is None else self.clock.now + duration_s
                self._when_due(due or 0.0, frame, self._wake)
            case Fork():
                self._open_fork(frame, decision.command)
            case Finish():
                self._finish(frame, decision.command)
            case _:
                assert_never(decision.command)

    def _when_due(self, time: float, frame: Frame, action: Callable[[Frame], None]) -> None:
        fence = fence_of(frame)

        def act() -> None:
            if self.stands(frame.id, fence):
                action(self.frames[frame.id])

        self.clock.at(time, act)

    def _run(self, frame: Frame) -> None:
        self.run_task(self, frame)

    def _wake(self, frame: Frame) -> None:
        self.happen(frame.id, fence_of(frame), TimerFired())

    def _open_fork(self, frame: Frame, fork: Fork) -> None:
        step = self.graph.nodes[frame.step.path].step if frame.step else None
        items = None
        if isinstance(step, ForeachStep) and frame.step is not None:
            found = foreach_items(step, frame.step.input)
            items = found if isinstance(found, list) else []
        join = Join(fork, frame, items, [None] * fork.total)
        self.joins[frame.id] = join
        for _ in range(fork.window):
            self._open_next(join)

    def _open_next(self, join: Join) -> None:
        if join.cursor < join.fork.total:
            index = join.cursor
            join.cursor += 1
            self.clock.after(0.0, lambda: self._begin_child(join, index))

    def _begin_child(self, join: Join, index: int) -> None:
        if self.joins.get(join.parent.id) is join:
            item = None if join.items is None else join.items[index]
            child = open_child(self.graph, join.parent, index, item)
            self.last_ids[child.id] = self.last_ids[join.parent.id]
            self._apply(begin(self.graph, child, self.info()))

    def _finish(self, frame: Frame, end: Finish) -> None:
        del self.frames[frame.id]
        if not frame.id:
            status = ExecutionStatus.FAILED if end.failed else ExecutionStatus.SUCCEEDED
            self.output = end.output
            self._end(status, end.error, end.cause)
            return
        join = self.joins[parent_id(frame.id)]
        if not end.failed:
            self._settle_child(join, index_of(frame.id), end.local)
        elif join.fork.tolerated is None:
            self._fail_fork(join, JoinFailed(end.error or "", end.cause or ""))
        elif join.failures == join.fork.tolerated:
            failure = tolerance_exceeded(Failure(end.error or "", end.cause or ""))
            self._fail_fork(join, JoinFailed(failure.error, failure.cause))
        else:
            join.failures += 1
            result = {"error": end.error, "cause": end.cause}
            self._settle_child(join, index_of(frame.id), result)

    def _settle_child(self, join: Join, index: int, result: Any) -> None:
        join.results[index] = result
        join.ended += 1
        if join.ended == join.fork.total:
            del self.joins[join.parent.id]
            self.happen(join.parent.id, fence_of(join.parent), Joined(join.results))
        else:
            self._open_next(join)

    def _fail_fork(self, join: Join, happening: JoinFailed) -> None:
        above = join.parent.id
        self._abort(f"{above}/" if above else "", own=above)
        self.happen(above, fence_of(join.parent), happening)

    def _abort(self, prefix: str, own: str | None) -> None:
        """Cuts off the frames below a prefix, innermost first; the frame `own` goes on."""
        cut = [key for key in self.frames if key.startswith(prefix) and key != own]
        for key in sorted(cut, key=lambda key: -key.count("/") if key else 1):
            self._stop_synced(key)
            self.record(key, *abort(self.graph, self.frames.pop(key)))
        for key in [key for key in self.joins if key.startswith(prefix) or key == own]:
            del self.joins[key]

    def _stop_synced(self, frame_id: str) -> None:
        if (child := self.synced.pop(frame_id, None)) is not None:
            child.stop("FnF.ParentEnded", f"{self.flow}:{self.name} ended")

    def _end_from_outside(
        self, status: ExecutionStatus, error: str | None, cause: str | None
    ) -> None:
        if self.status.ended:
            return
        self._abort("", own=None)
        self.record("", end_event(status, error, cause))
        self._end(status, error, cause)

    def _end(self, status: ExecutionStatus, error: str | None, cause: str | None) -> None:
        self.status, self.error, self.cause = status, error, cause
        if self.graph.flow.kept_turns is not None:
            self.history = first_and_last(self.history, self.turns, self.graph.flow.kept_turns)
        for tell in self.ended:
            tell(self)


def fence_of(frame: Frame) -> Fence:
    """The attempt that a frame is at."""
    step = frame.step
    return (frame.turn, step.visit, step.attempt) if step else (frame.turn, 0, 0)
