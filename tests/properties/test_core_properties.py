"""What holds of the scheduler for every flow."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.checks import load_flow
from engine.core.codec import frame_from_json, frame_to_json
from engine.core.commands import Decision, RunTask, Sleep
from engine.core.events import Event, EventType
from engine.core.graph import Graph
from engine.core.happenings import RunInfo, TaskReturned, TimerFired
from engine.core.history import normalise
from engine.core.scheduler import begin, decide, open_root
from engine.simulate.simulator import Simulation, simulate
from tests.properties.flows import TASKS, Document, documents, text_of

SEEDS = 50
RUN = RunInfo("flow", "e-1", lambda frame: "token", now=0.0)
INPUT: dict[str, Any] = {"x": 2, "y": 0, "n": True}

# Drawing a whole flow is slow for Hypothesis' taste; the flows are what is tested.
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_EXITS = {
    EventType.STEP_ENTERED: EventType.STEP_EXITED,
    EventType.BRANCH_ENTERED: EventType.BRANCH_EXITED,
    EventType.ITERATION_ENTERED: EventType.ITERATION_EXITED,
}


def graph_of(document: Document) -> Graph:
    return load_flow(text_of(document))[0]


def run(document: Document, seed: int | None = None) -> Simulation:
    return simulate(graph_of(document), INPUT, tasks=TASKS, now=0.0, seed=seed)


def unbalanced(history: list[Event]) -> list[tuple[str, str, str]]:
    """Entered without Exited or the other way round, or not one inside of the other."""
    open_parts: dict[str, list[tuple[EventType, str]]] = {}
    wrong = []
    for event in history:
        stack = open_parts.setdefault(event.frame, [])
        if event.type in _EXITS:
            stack.append((_EXITS[event.type], event.step_name))
        elif event.type in _EXITS.values():
            if not stack or stack.pop() != (event.type, event.step_name):
                wrong.append((event.frame, str(event.type), event.step_name))
    left = [(frame, str(kind), name) for frame, parts in open_parts.items() for kind, name in parts]
    return wrong + left


@quick
@given(documents(failing=True), st.integers(0, 10**6))
def test_every_entered_has_one_exited_however_the_flow_ends(document: Document, seed: int) -> None:
    result = run(document, seed)
    assert result.status.ended
    assert unbalanced(result.history) == []


@quick
@given(documents(failing=True), st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_history(document: Document, seed: int) -> None:
    assert run(document, seed) == run(document, seed)


@settings(quick, max_examples=15)
@given(documents())
def test_the_order_of_simultaneous_events_changes_no_race_free_history(document: Document) -> None:
    expected = run(document)
    for seed in range(SEEDS):
        result = run(document, seed)
        assert (result.status, result.output) == (expected.status, expected.output)
        assert normalise(result.history) == normalise(expected.history)


@quick
@given(documents(failing=True), st.integers(0, 10**6))
def test_a_join_fires_once(document: Document, seed: int) -> None:
    """A fork's children begin after it was entered and are over before it is left, once."""
    graph = graph_of(document)
    forks = {
        node.step.name
        for node in graph.nodes.values()
        if type(node.step).__name__ in ("ParallelStep", "ForeachStep")
    }
    entered: Counter[tuple[str, str]] = Counter()
    exited: Counter[tuple[str, str]] = Counter()
    for event in run(document, seed).history:
        if event.step_name in forks:
            place = (event.frame, event.step_name)
            entered[place] += event.type is EventType.STEP_ENTERED
            exited[place] += event.type is EventType.STEP_EXITED
            assert 0 <= entered[place] - exited[place] <= 1
    assert entered == exited


@quick
@given(documents(failing=True), st.integers(0, 10**6))
def test_every_event_is_caused_by_an_earlier_one_in_its_frame_or_its_forks(
    document: Document, seed: int
) -> None:
    history = run(document, seed).history
    assert [event.event_id for event in history] == list(range(1, len(history) + 1))
    for event in history[1:]:
        cause = history[event.schedule_event_id - 1]
        assert cause.event_id < event.event_id
        opens = event.type in (EventType.BRANCH_ENTERED, EventType.ITERATION_ENTERED)
        assert (cause.frame == event.frame) is not opens


@quick
@given(documents())
def test_decisions_change_nothing_and_come_out_the_same_again(document: Document) -> None:
    graph, frame = graph_of(document), open_root(graph_of(document), dict(INPUT))
    decision: Decision = begin(graph, frame, RUN)
    assert begin(graph, frame, RUN) == decision
    for _ in range(50):
        match decision.command:
            case RunTask():
                happening: TaskReturned | TimerFired = TaskReturned({"turn": 9})
            case Sleep():
                happening = TimerFired()
            case _:
                return
        before = copy.deepcopy(decision.frame)
        after = decide(graph, decision.frame, happening, RUN)
        assert decision.frame == before
        assert frame_from_json(frame_to_json(before)) == before
        assert decide(graph, frame_from_json(frame_to_json(before)), happening, RUN) == after
        decision = after
