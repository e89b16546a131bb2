"""The scheduler's decisions on all steps but tasks, and on whole frames."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.codec import frame_from_json, frame_to_json
from engine.core.commands import Finish, Fork, Sleep
from engine.core.frame import Frame
from engine.core.happenings import (
    Happening,
    Joined,
    JoinFailed,
    Submitted,
    TaskRaised,
    TaskReturned,
    TimerFired,
)
from engine.core.scheduler import (
    abort,
    begin,
    end_event,
    open_child,
    started,
)
from engine.core.states import ExecutionStatus
from tests.unit.decisions import RUN, TASK, after, facts, first, graph_of

CHOICE = """
- type: choice
  name: route
  end: true
  choices:
  - condition: $.n > 1
    goto: big
    steps:
    - {type: pass, name: mark, outputMappings: [{target: marked, source: $input.n}]}
    - {type: succeed, name: stop}
    - {type: pass, name: hidden}
  default:
    steps:
    - {type: task, name: work, resourceArn: work}
- {type: pass, name: big, outputMappings: [{target: seen, source: $input.marked}]}
"""


def test_an_options_goto_is_taken_after_succeed_inside_it_and_wins_over_end() -> None:
    decision = first(graph_of(CHOICE), n=2)
    assert decision.command == Finish({"marked": 2, "seen": 2}, {"marked": 2, "seen": 2})
    assert "StepEntered hidden" not in facts(decision)


def test_a_choice_with_end_stops_the_series_when_its_option_has_no_goto() -> None:
    graph = graph_of(CHOICE)
    decision = after(graph, first(graph, n=1), TaskReturned({"done": 1}))
    assert decision.command == Finish({"done": 1}, {"done": 1})


def test_a_failure_in_an_option_fails_the_choice_around_it_too() -> None:
    graph = graph_of(CHOICE)
    decision = after(graph, first(graph, n=1), TaskRaised("Boom", ""))
    assert facts(decision) == [
        "TaskFailed work",
        "StepFailed work",
        "StepExited work",
        "StepFailed route",
        "StepExited route",
        "ExecutionFailed",
    ]


FOREACH = """
- type: foreach
  name: each
  iterationMapping: {collection: $.names, item: name, index: place}
  concurrency: 2
  steps: [{type: pass, name: keep, outputMappings: [{target: got, source: $input.name}]}]
  outputMappings: [{target: all, source: "$local[*].got"}]
"""


def test_a_foreach_opens_a_window_and_joins_in_the_collections_order() -> None:
    graph = graph_of(FOREACH)
    decision = first(graph, names=["a", "b", "c"])
    assert decision.command == Fork("foreach", total=3, window=2)
    child = open_child(graph, decision.frame, 1, "b")
    assert child.id == "each.1"
    assert child.scopes[0].input == {"names": ["a", "b", "c"], "name": "b", "place": 1}
    end = begin(graph, child, RUN)
    assert end.command == Finish(local={"got": "b"})
    assert facts(end)[0] == "IterationEntered"
    assert facts(end)[-1] == "IterationExited"
    joined = after(graph, decision, Joined([{"got": "a"}, {"got": "b"}, {"got": "c"}]))
    assert joined.command == Finish({"all": ["a", "b", "c"]}, {"all": ["a", "b", "c"]})


def test_an_empty_foreach_succeeds_at_once() -> None:
    assert first(graph_of(FOREACH), names=[]).command == Finish({"all": []}, {"all": []})


@pytest.mark.parametrize("given", [{}, {"names": None}, {"names": "abc"}, {"names": {}}])
def test_a_collection_that_is_no_list_fails_the_step(given: dict[str, Any]) -> None:
    command = first(graph_of(FOREACH), **given).command
    assert isinstance(command, Finish)
    assert command.error == "FnF.InvalidCollection"


def test_a_tolerated_percentage_is_rounded_down() -> None:
    graph = graph_of(FOREACH + "  toleratedFailures: 40%\n")
    command = first(graph, names=[1, 2, 3, 4]).command
    assert isinstance(command, Fork)
    assert command.tolerated == 1


def test_a_failed_join_fails_the_fork_with_the_childs_error() -> None:
    graph = graph_of(FOREACH)
    decision = after(graph, first(graph, names=[1]), JoinFailed("Boom", "bang"))
    assert decision.command == Finish(error="Boom", cause="bang")
    assert facts(decision) == ["StepFailed each", "StepExited each", "ExecutionFailed"]


@pytest.mark.parametrize(
    ("written", "command"),
    [
        ("duration: 5", Sleep(duration_s=5.0)),
        ("duration: '2.5'", Sleep(duration_s=2.5)),
        ("duration: $.long", Sleep(duration_s=86400.0)),
        ("duration: -1", Finish({}, {})),
        ("duration: $.zero", Finish({}, {})),
        ("timestamp: '1970-01-01T00:16:41Z'", Sleep(until=1001.0)),
        ("timestamp: '1970-01-01T08:16:41+08:00'", Sleep(until=1001.0)),
        ("timestamp: '1970-01-01T00:16:41'", Sleep(until=1001.0)),
        ("timestamp: '1970-01-01T00:00:01Z'", Finish({}, {})),
    ],
)
def test_waits_sleep_or_end_at_once(written: str, command: object) -> None:
    graph = graph_of(f"- type: wait\n  name: rest\n  {written}\n")
    assert first(graph, long="86400", zero=0).command == command


@pytest.mark.parametrize(
    "written",
    [
        "duration: $.missing",
        "duration: $.text",
        "duration: $.flag",
        "duration: $.huge",
        "duration: $.list",
        "timestamp: $.text",
        "timestamp: $.far",
        "timestamp: $.flag",
    ],
)
def test_waits_that_make_no_sense_are_invalid(written: str) -> None:
    graph = graph_of(f"- type: wait\n  name: rest\n  {written}\n")
    far = "2300-01-01T00:00:00Z"
    command = first(graph, text="soon", flag=True, huge=10**400, list=[1], far=far).command
    assert isinstance(command, Finish)
    assert command.error == "FnF.InvalidWait"


def test_the_end_of_a_wait_goes_on() -> None:
    graph = graph_of("- {type: wait, name: rest, duration: 5}\n")
    assert after(graph, first(graph), TimerFired()).command == Finish({}, {})


@pytest.mark.parametrize(
    ("written", "error", "cause"),
    [
        ("", "FnF.Fail", ""),
        ("error: Sold, cause: out", "Sold", "out"),
        ("error: $.code, cause: $.why", "E7", '{"line": 3}'),
        ("error: $input.code, cause: $local.code", "E7", ""),
    ],
)
def test_fail_names_its_error_and_cause(written: str, error: str, cause: str) -> None:
    graph = graph_of("- {type: fail, name: no" + (f", {written}" if written else "") + "}\n")
    command = first(graph, code="E7", why={"line": 3}).command
    assert command == Finish(error=error, cause=cause)


def test_flow_mappings_make_the_flows_input_and_output() -> None:
    head = (
        "inputMappings: [{target: n, source: $input.number}, "
        "{target: who, source: $context.execution.name}]\n"
        "outputMappings: [{target: n, source: $input.n}, {target: who, source: $input.who}]"
    )
    decision = first(graph_of("- {type: pass, name: p}\n", head), number=5)
    assert decision.command == Finish({}, {"n": 5, "who": "e-1"})
    assert decision.events[0].detail == {"input": {"number": 5}}


STRICT = "strict: true"


def test_a_missing_path_fails_a_strict_step_without_retry_or_catch() -> None:
    steps = (
        TASK
        + """
  inputMappings: [{target: x, source: $input.missing}]
  retry: [{errors: [FnF.ALL]}]
  catch: [{errors: [FnF.ALL], goto: pay}]
"""
    )
    decision = first(graph_of(steps, STRICT))
    assert isinstance(decision.command, Finish)
    assert decision.command.error == "FnF.InvalidPath"
    assert facts(decision)[1:] == [
        "StepEntered pay",
        "StepFailed pay",
        "StepExited pay",
        "ExecutionFailed",
    ]


@pytest.mark.parametrize("key", ["inputMappings", "outputMappings"])
def test_a_missing_path_in_a_strict_flows_own_mappings_fails_the_execution(key: str) -> None:
    head = STRICT + f"\n{key}: [{{target: x, source: $input.missing}}]"
    decision = first(graph_of("- {type: pass, name: p}\n", head))
    assert isinstance(decision.command, Finish)
    assert decision.command.error == "FnF.InvalidPath"
    assert decision.events[-1].type == "ExecutionFailed"


def test_a_loop_without_work_is_cut_off_after_ten_thousand_steps() -> None:
    steps = """
- {type: pass, name: a}
- {type: choice, name: again, choices: [{condition: $.go == true, goto: a}]}
"""
    decision = first(graph_of(steps), go=True)
    assert isinstance(decision.command, Finish)
    assert decision.command.error == "FnF.RuntimeError"
    assert decision.frame.visits == 10_001


def test_an_event_id_in_a_mapping_is_that_of_the_steps_entry() -> None:
    steps = """
- type: pass
  name: p
  outputMappings: [{target: id, source: $context.step.eventId}]
"""
    decision = first(graph_of(steps))
    assert decision.exact_ids
    assert decision.command == Finish({"id": 2}, {"id": 2})
    assert not first(graph_of("- {type: pass, name: p}\n")).exact_ids


def test_a_cut_off_frame_leaves_innermost_first() -> None:
    graph = graph_of(
        """
- type: parallel
  name: both
  branches:
  - steps:
    - type: choice
      name: route
      default: {steps: [{type: wait, name: rest, duration: 9}]}
"""
    )
    parent = first(graph)
    child = begin(graph, open_child(graph, parent.frame, 0), RUN)
    events = abort(graph, child.frame)
    assert [(str(event.type), event.step_name) for event in events] == [
        ("StepExited", "rest"),
        ("StepExited", "route"),
        ("BranchExited", ""),
    ]
    assert all(event.detail["aborted"] for event in events)


def test_started_and_ends_from_outside_are_events_too() -> None:
    graph = graph_of(TASK)
    assert started(graph, first(graph).frame, "w1").detail == {"attempt": 1, "worker": "w1"}
    stopped = end_event(ExecutionStatus.STOPPED, "Enough", None)
    assert (stopped.type, stopped.detail) == ("ExecutionStopped", {"error": "Enough"})
    with pytest.raises(ValueError, match="Succeeded"):
        end_event(ExecutionStatus.SUCCEEDED)


@pytest.mark.parametrize("happening", [TimerFired(), Joined([]), Submitted({}, "child")])
def test_what_cannot_happen_to_a_step_is_refused(happening: Happening) -> None:
    graph = graph_of("- {type: wait, name: rest, duration: 5}\n")
    task = graph_of(TASK)
    wrong = (graph, first(graph)) if isinstance(happening, Submitted) else (task, first(task))
    with pytest.raises(ValueError, match="frame ''"):
        after(*wrong, happening)


def test_a_frame_survives_its_json_form() -> None:
    graph = graph_of(CHOICE)
    frame = first(graph, n=1).frame
    written = frame_to_json(frame)
    assert frame_from_json(written) == frame
    assert written["c"] == [["route", None, 1]]


def test_values_that_are_equal_but_not_the_same_survive_the_json_form() -> None:
    graph = graph_of(TASK + "  inputMappings: [{target: n, source: true}]\n")
    frame = first(graph, n=1).frame
    restored: Frame = frame_from_json(frame_to_json(frame))
    assert restored.step is not None
    assert restored.step.input["n"] is True
