"""Turns of a flow: where they begin, and which of them a history keeps."""

from __future__ import annotations

import pytest

from engine.core.commands import Decision
from engine.core.events import Event, EventType
from engine.core.happenings import TaskRaised, TaskReturned
from engine.core.turns import first_and_last
from engine.simulate.simulator import simulate
from tests.unit.decisions import after, first, graph_of

HEAD = "history: {turns: 2}"
FLOW = """
- {type: pass, name: start}
- type: task
  name: pay
  resourceArn: pay
  catch:
  - {errors: [Again], goto: pay}
  - {errors: [Back], goto: start}
  - {errors: [On], goto: end}
- type: choice
  name: route
  choices:
  - condition: $.n == 1
    steps:
    - {type: pass, name: inner}
    - {type: choice, name: hop, choices: [{condition: $.k == 1, goto: last}]}
    - {type: pass, name: middle}
    - {type: pass, name: last}
    goto: start
  - {condition: $.n == 2, goto: end}
- {type: pass, name: other}
- {type: pass, name: end}
"""


def turns(decision: Decision) -> list[str]:
    """The steps with whose entering a turn begins."""
    return [event.step_name for event in decision.events if event.begins_turn]


@pytest.mark.parametrize(
    ("happening", "begun"),
    [
        (TaskReturned({"n": 1, "k": 1}), ["start"]),
        (TaskReturned({"n": 2}), []),
        (TaskReturned({"n": 3}), []),
        (TaskRaised("Again", ""), ["pay"]),
        (TaskRaised("Back", ""), ["start"]),
        (TaskRaised("On", ""), []),
    ],
)
def test_a_turn_begins_where_the_flow_goes_back(
    happening: TaskReturned | TaskRaised, begun: list[str]
) -> None:
    graph = graph_of(FLOW, HEAD)
    begin = first(graph)
    assert turns(begin) == []
    decision = after(graph, begin, happening)
    assert turns(decision) == begun
    entered = [e.step_name for e in decision.events if e.type is EventType.STEP_ENTERED]
    assert all(name in entered for name in begun)


def test_a_turn_that_begins_inside_of_an_option_is_seen_from_where_the_choice_stands() -> None:
    """The frame waits inside of the choice when its option leads back."""
    steps = """
- {type: pass, name: start}
- type: choice
  name: loop
  choices:
  - condition: $.n == 1
    steps: [{type: task, name: work, resourceArn: work}]
    goto: loop
"""
    graph = graph_of(steps, HEAD)
    begun = first(graph, n=1)
    assert turns(after(graph, begun, TaskReturned({}))) == ["loop"]
    assert turns(after(graph, begun, TaskReturned({}), TaskReturned({"n": 0}))) == ["loop"]


def test_turns_are_counted_only_where_the_flow_asks_for_it() -> None:
    graph = graph_of(FLOW)
    assert turns(after(graph, first(graph), TaskRaised("Back", ""))) == []


def test_loops_inside_of_branches_make_no_turns() -> None:
    steps = """
- type: parallel
  name: both
  branches:
  - steps:
    - {type: task, name: count, resourceArn: count}
    - {type: choice, name: more, choices: [{condition: $.n < 5, goto: count}]}
"""
    counted = iter(range(1, 6))
    result = simulate(
        graph_of(steps, "history: {turns: 1}"),
        tasks={"count": lambda given, ctx: {"n": next(counted)}},
    )
    assert [event.event_id for event in result.history] == list(range(1, len(result.history) + 1))


@pytest.mark.parametrize(
    ("begins", "kept", "left"),
    [
        ([], 1, "123456789"),
        ([4], 1, "123456789"),
        ([4, 7], 1, "123789"),
        ([2, 3, 4, 5, 6, 7], 1, "1789"),
        ([2, 3, 4, 5, 6, 7], 3, "12356789"),
        ([2, 3, 4, 5, 6], 3, "123456789"),
    ],
)
def test_the_turns_between_the_first_and_the_last_are_dropped(
    begins: list[int], kept: int, left: str
) -> None:
    history = [Event(n, EventType.STEP_ENTERED, "a", "", 0.0, n - 1, {}) for n in range(1, 10)]
    assert [event.event_id for event in first_and_last(history, begins, kept)] == [
        int(digit) for digit in left
    ]
