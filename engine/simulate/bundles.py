"""Bundles: an execution that was exported, to be replayed.

A replay makes the same decisions once more, from the same input: each attempt of a task answers
what it answered then, after as much time. Where that leads to other events, the flow, or the
program, decides otherwise than it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.core.checks import load_flow
from engine.core.events import Event, EventType
from engine.core.graph import Graph
from engine.core.history import NormalEvent, normalise
from engine.core.outcomes import OUTCOME_UNKNOWN
from engine.core.states import ExecutionStatus
from engine.errors import InvalidArgument
from engine.simulate.mocks import Mock, MockReport, Mocks
from engine.simulate.simulator import Simulation, simulate
from engine.simulate.world import World

REDACTED = "__redacted__"
LOST_CAUSE = "the worker died"
NEVER_S = 1e9
"""How long an attempt takes that had not ended when something else came."""

DECIDED = (ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED)
"""How the flow itself ends."""

CUT_BY = (EventType.EXECUTION_STOPPED, EventType.EXECUTION_TIMED_OUT)

BY_HAND = (EventType.EXECUTION_REDRIVEN, EventType.STEP_SKIPPED)

NOT_COMPARED = frozenset(
    {
        EventType.TASK_STARTED,
        EventType.TASK_SUBMITTED,
        EventType.STREAM_OPENED,
        EventType.STREAM_CLOSED,
        EventType.EXECUTION_PAUSED,
        EventType.EXECUTION_RESUMED,
    }
)
"""Facts of workers and operators, and none of the flow's decisions."""


class BundledEvent(BaseModel):
    """An event as it was exported."""

    model_config = ConfigDict(frozen=True)

    event_id: int
    type: EventType
    step_name: str
    frame: str
    time: float
    schedule_event_id: int
    detail: dict[str, Any]

    def event(self) -> Event:
        """The event."""
        return Event(**dict(self))


class BundledFlow(BaseModel):
    """The flow, as it was when the execution ran."""

    model_config = ConfigDict(frozen=True)

    name: str
    definition: str


class BundledExecution(BaseModel):
    """The execution itself."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: ExecutionStatus
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    cause: str | None
    started_time: float
    stopped_time: float | None
    dropped_turns: int = 0


class Bundle(BaseModel):
    """An exported execution."""

    model_config = ConfigDict(frozen=True)

    form: Literal[1]
    flow: BundledFlow
    execution: BundledExecution
    history: tuple[BundledEvent, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay. `differences`: what it did otherwise, a line each; () if nothing."""

    simulation: Simulation
    differences: tuple[str, ...]


def read_bundle(text: str, file: str) -> Bundle:
    """Reads a bundle.

    Raises:
        InvalidArgument: it is none, or what it tells cannot be replayed.
    """
    try:
        bundle = Bundle.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"{file}: not a bundle of penstock export: {place or 'it'}: "
                              f"{first['msg']}") from None  # fmt: skip
    if any(event.type in BY_HAND for event in bundle.history):
        raise InvalidArgument(
            f"{file}: it was redriven, or a step was skipped by hand; a replay can only repeat "
            "what the flow decided by itself"
        )
    if bundle.execution.dropped_turns:
        raise InvalidArgument(f"{file}: its flow keeps only some turns of the history")
    return bundle


def replay(bundle: Bundle, graph: Graph | None = None) -> Replay:
    """Runs an exported execution again; `graph`: by that flow instead of its own.

    Raises:
        FlowInvalid: its own has errors by now.
    """
    run, flow = bundle.execution, bundle.flow
    graph = graph or load_flow(flow.definition, f"{flow.name}.yml")[0]
    history = [event.event() for event in bundle.history]

    def stop(world: World) -> None:
        if run.status is ExecutionStatus.STOPPED and run.stopped_time is not None:
            execution = world.executions[flow.name, run.name]
            passed_s = run.stopped_time - run.started_time
            world.clock.after(passed_s, lambda: execution.stop(run.error, run.cause), late=True)

    simulation = simulate(
        graph,
        run.input,
        mocks=mocks_of_history(history),
        now=run.started_time,
        flow_name=flow.name,
        execution_name=run.name,
        outside=stop,
    )
    return Replay(simulation, tuple(_differences(run, history, simulation)))


def mocks_of_history(history: Iterable[Event]) -> Mocks:
    """What each attempt of each task has answered, as mocks."""
    by_step = sorted((event for event in history if event.step_name), key=_place)
    steps = {
        "/".join(filter(None, place)): tuple(_answers(list(events)))
        for place, events in groupby(by_step, _place)
    }
    return Mocks(steps={name: answers for name, answers in steps.items() if answers})


def _place(event: Event) -> tuple[str, str]:
    return event.frame, event.step_name


def _answers(events: Sequence[Event]) -> Iterator[Mock]:
    """The answers of a step in one frame, attempt by attempt."""
    begins = [at for at, event in enumerate(events) if event.type is EventType.TASK_SCHEDULED]
    for first, last in zip(begins, [*begins[1:], len(events)], strict=False):
        yield _answer(events[first:last])


def _answer(events: Sequence[Event]) -> Mock:
    """The answer of an attempt: from its TaskScheduled to before the next one's."""
    began_s, submitted = events[0].time, None
    for event in events:
        took_s = max(0.0, event.time - began_s)
        match event.type:
            case EventType.TASK_STARTED:
                began_s = event.time
            case EventType.TASK_SUBMITTED:
                submitted, began_s = took_s, event.time
            case EventType.TASK_SUCCEEDED if submitted is not None:
                report = MockReport(output=event.detail["output"], delay_s=took_s)
                return Mock(output={}, delay_s=submitted, report=report)
            case EventType.TASK_SUCCEEDED:
                # One that waits for a report had it before its function had returned.
                output = event.detail["output"]
                return Mock(output=output, delay_s=took_s, report=MockReport(output=output))
            case EventType.TASK_FAILED if submitted is not None:
                error, cause = event.detail["error"], event.detail["cause"]
                report = MockReport(error=error, cause=cause, delay_s=took_s)
                return Mock(output={}, delay_s=submitted, report=report)
            case EventType.TASK_FAILED if _was_lost(event):
                return Mock(lost=True, delay_s=took_s)
            case EventType.TASK_FAILED | EventType.TASK_SUBMIT_FAILED:
                error, cause = event.detail["error"], event.detail["cause"]
                return Mock(error=error, cause=cause, delay_s=took_s)
            case _:
                pass
    if submitted is not None:
        return Mock(output={}, delay_s=submitted, report=MockReport(output={}, delay_s=NEVER_S))
    return Mock(output={}, delay_s=NEVER_S)


def _was_lost(event: Event) -> bool:
    error, cause = str(event.detail["error"]), str(event.detail["cause"])
    return error == OUTCOME_UNKNOWN and cause.startswith(LOST_CAUSE)


def _differences(
    run: BundledExecution, history: Sequence[Event], simulation: Simulation
) -> Iterator[str]:
    if run.status.ended:
        for field in ("status", "output", "error", "cause"):
            then, now = getattr(run, field), getattr(simulation, field)
            if not _same(then, now):
                yield f"{field}: it was {_short(then)}, the replay has {_short(now)}"
    before, after = _compared(history), _compared(simulation.history)
    for frame in sorted({*before, *after}):
        then, now = before.get(frame, []), after.get(frame, [])
        if run.status not in DECIDED or _is_cut(then) or _is_cut(now):
            # How far it had come by then is chance.
            then, now = _until_cut(then), _until_cut(now)
            length = min(len(then), len(now))
            then, now = then[:length], now[:length]
        difference = _first_difference(then, now)
        if difference is not None:
            yield f"{frame or 'the flow itself'}: {difference}"


def _is_cut(events: Sequence[NormalEvent]) -> bool:
    """True for a frame that something else has cut off."""
    return any("aborted" in detail for _, _, detail in events)


def _until_cut(events: Sequence[NormalEvent]) -> list[NormalEvent]:
    """The events before a frame, or the execution, was cut off."""
    return list(takewhile(lambda it: "aborted" not in it[2] and it[0] not in CUT_BY, events))


def _compared(history: Iterable[Event]) -> dict[str, list[NormalEvent]]:
    return normalise(_as_failed(event) for event in history if event.type not in NOT_COMPARED)


def _as_failed(event: Event) -> Event:
    """A task that could not be submitted is one that failed, as what it answers is replayed."""
    if event.type is EventType.TASK_SUBMIT_FAILED:
        return replace(event, type=EventType.TASK_FAILED)
    return event


def _first_difference(then: list[NormalEvent], now: list[NormalEvent]) -> str | None:
    for old, new in zip(then, now, strict=False):
        if not _same(list(old), list(new)):
            return f"there was {_short(old)}, the replay has {_short(new)}"
    if len(then) > len(now):
        return f"the replay ends before {_short(then[len(now)])}"
    if len(now) > len(then):
        return f"the replay goes on with {_short(now[len(then)])}"
    return None


def _same(then: Any, now: Any) -> bool:
    """True for equal values; what was redacted then may be anything now."""
    match then, now:
        case dict(), dict():
            return set(then) == set(now) and all(_same(then[key], now[key]) for key in then)
        case list(), list():
            return len(then) == len(now) and all(map(_same, then, now))
        case str(), _ if REDACTED in then:
            return True
        case _:
            equal: bool = then == now
            return equal


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 200 else f"{text[:200]}…"
