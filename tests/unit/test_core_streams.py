"""Decisions on stream steps: calls, runs, the two events, and what failures lead to."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.commands import Finish, RunTask
from engine.core.events import Event, EventType
from engine.core.frame import Frame, run_key
from engine.core.happenings import (
    Happening,
    PutOff,
    Redriven,
    TaskRaised,
    TaskReturned,
    TaskTimedOut,
    WorkerLost,
)
from engine.core.history import normalise
from engine.core.outcomes import Failure
from engine.core.scheduler import StreamCall, stream_opened, task_call
from engine.core.streaming import StageCall, edges_of, stage_failure
from engine.fdl.mappings import InvalidPath
from engine.fdl.resources import ActionResource, NamedResource, StreamResource
from tests.unit.decisions import RUN, after, facts, first, graph_of

STREAM = """
- type: stream
  name: copy
  source: $.from
  sink: s3://here/it
  windowBytes: 65536
  fuse: false
  timeoutSeconds: 9
  retry: [{errors: [Busy], intervalSeconds: 2}]
  catch: [{errors: [Broken], goto: rescue}]
  errorMappings: [{target: why, source: $local.cause}]
  steps:
  - {type: task, name: read, resourceArn: bytes:gunzip}
  - type: task
    name: pack
    action: bytes:Pack
    concurrency: 3
    inputMappings: [{target: level, source: $input.n}, {target: at, source: $context.step.name}]
  end: true
- {type: pass, name: rescue}
"""
GRAPH = graph_of(STREAM)
GIVEN: dict[str, Any] = {"from": "file:///a", "n": 4}
FIGURES = {"edges": [{"from": "read", "to": "pack", "chunks": 2, "bytes": 7, "blocked_s": 1.5}]}


def call_after(*happenings: Happening, **given: Any) -> StreamCall:
    decision = after(GRAPH, first(GRAPH, **(given or GIVEN)), *happenings)
    stream = task_call(GRAPH, decision.frame, RUN).stream
    assert stream is not None
    return stream


def run_after(*happenings: Happening) -> str:
    return run_key(after(GRAPH, first(GRAPH, **GIVEN), *happenings).frame)


def test_a_stream_is_scheduled_as_a_task_is() -> None:
    decision = first(GRAPH, **GIVEN)
    assert decision.command == RunTask(0.0)
    assert decision.events[-1].detail == {
        "resource": "stream:read+pack",
        "input": GIVEN,
        "attempt": 1,
    }
    call = task_call(GRAPH, decision.frame, RUN)
    assert (call.timeout_s, call.pattern, call.attempt, call.input) == (
        9.0,
        "requestResponse",
        1,
        GIVEN,
    )
    assert isinstance(call.resource, StreamResource)


def test_its_call_has_the_stages_with_their_inputs_and_the_ends() -> None:
    assert call_after() == StreamCall(
        stages=(
            StageCall("read", NamedResource("bytes:gunzip"), GIVEN),
            StageCall("pack", ActionResource("bytes", "Pack"), {"level": 4, "at": "copy"}, 3),
        ),
        source="file:///a",
        sink="s3://here/it",
        window_bytes=65536,
        fuse=False,
    )


@pytest.mark.parametrize(
    ("value", "what"),
    [(None, "is not there"), (5, "is of type int"), (["a"], "is of type list"), ("", "is empty")],
)
def test_a_source_that_is_no_text_is_refused_when_it_is_run(value: Any, what: str) -> None:
    call = call_after(**{"from": value})
    assert call.refusal == Failure(
        "FC.InvalidArgument", f"copy: source $.from {what}; it must be a URI"
    )
    assert (call.source, call.sink) == (None, None)


def test_a_path_that_is_not_there_fails_a_strict_flow_at_once() -> None:
    decision = first(graph_of(STREAM, "strict: true"), n=4)
    assert isinstance(decision.command, Finish)
    assert decision.command.error == "FnF.InvalidPath"
    with pytest.raises(InvalidPath):
        graph = graph_of(STREAM, "strict: true")
        task_call(graph, first(GRAPH, n=4).frame, RUN)


def test_an_attempt_that_is_put_off_stays_the_one_that_it_is() -> None:
    begun = first(GRAPH, **GIVEN)
    decision = after(GRAPH, begun, PutOff(2.5))
    assert (decision.frame, decision.events) == (begun.frame, ())
    assert decision.command == RunTask(2.5, goes_on=True)


def test_its_result_is_its_local_and_its_figures_come_first() -> None:
    decision = after(GRAPH, first(GRAPH, **GIVEN), TaskReturned({"bytes": 7}, closed=FIGURES))
    assert facts(decision)[:2] == ["StreamClosed copy", "TaskSucceeded copy"]
    assert decision.events[0].detail == FIGURES
    assert decision.command == Finish(local={"bytes": 7}, output={"bytes": 7})


@pytest.mark.parametrize(
    ("happening", "then"),
    [
        (TaskRaised("Broken", "read: no"), "TaskFailed copy"),
        (TaskTimedOut(), "TaskTimedOut copy"),
    ],
)
def test_figures_of_a_stream_that_was_cut_off_say_so(
    happening: TaskRaised | TaskTimedOut, then: str
) -> None:
    told = (
        TaskTimedOut(FIGURES)
        if isinstance(happening, TaskTimedOut)
        else TaskRaised("Broken", "read: no", closed=FIGURES)
    )
    decision = after(GRAPH, first(GRAPH, **GIVEN), told)
    assert facts(decision)[:2] == ["StreamClosed copy", then]
    assert decision.events[0].detail == {**FIGURES, "aborted": True}
    plain = after(GRAPH, first(GRAPH, **GIVEN), happening)
    assert facts(plain)[0] == then


def test_retry_catch_and_error_mappings_are_about_the_whole_stream() -> None:
    begun = first(GRAPH, **GIVEN)
    busy = after(GRAPH, begun, TaskRaised("Busy", "later"))
    assert busy.command == RunTask(2.0)
    caught = after(GRAPH, begun, TaskRaised("Broken", "pack: why not"))
    assert "StepEntered rescue" in facts(caught)
    assert caught.command == Finish(local={"why": "pack: why not"}, output={"why": "pack: why not"})
    failed = after(GRAPH, begun, TaskRaised("Other", ""))
    assert isinstance(failed.command, Finish) and failed.command.error == "Other"


def test_an_attempt_for_a_lost_worker_goes_on_with_the_same_run() -> None:
    assert run_after(WorkerLost()) == run_after()
    assert run_after(WorkerLost(), WorkerLost()) == run_after()
    assert run_after(TaskRaised("Busy", ""), WorkerLost()) == run_after(TaskRaised("Busy", ""))


def test_a_policy_that_knows_lost_workers_keeps_the_run_too() -> None:
    graph = graph_of(STREAM.replace("errors: [Busy]", "errors: [FnF.ALL]"))
    begun = first(graph, **GIVEN)
    lost = after(graph, begun, WorkerLost())
    assert lost.command == RunTask(2.0)
    assert run_key(lost.frame) == run_key(begun.frame)


def test_a_retry_a_redrive_and_another_visit_are_new_runs() -> None:
    begun = first(GRAPH, **GIVEN)
    frames: list[Frame] = [begun.frame]
    for happening in (
        TaskRaised("Busy", ""),
        WorkerLost(),
        TaskRaised("Busy", ""),
        TaskRaised("Other", ""),
        Redriven(),
        WorkerLost(),
        TaskRaised("Other", ""),
        Redriven(),
    ):
        begun = after(GRAPH, begun, happening)
        frames.append(begun.frame)
    keys = [run_key(frame) for frame in frames]
    assert keys[1] == keys[2] and keys[5] == keys[6]
    runs = list(dict.fromkeys(keys))
    assert [keys.index(run) for run in runs] == [0, 1, 3, 5, 8]

    loop = graph_of(
        STREAM.replace("end: true", "").replace("name: rescue", "name: rescue")
        + "- {type: choice, name: again, default: {goto: copy}}\n"
    )
    once = first(loop, **GIVEN)
    twice = after(loop, once, TaskReturned({}))
    assert run_key(once.frame) != run_key(twice.frame)


def test_opened_names_the_step_that_the_frame_is_at() -> None:
    event = stream_opened(GRAPH, first(GRAPH, **GIVEN).frame, {"run": "r"})
    assert (event.type, event.step_name, event.detail) == (
        EventType.STREAM_OPENED,
        "copy",
        {"run": "r"},
    )


@pytest.mark.parametrize(
    ("sourced", "edges"),
    [
        (True, (("source", "a"), ("a", "b"), ("b", "sink"))),
        (False, (("a", "b"), ("b", "sink"))),
    ],
)
def test_edges_join_the_stages_and_the_ends(
    sourced: bool, edges: tuple[tuple[str, str], ...]
) -> None:
    assert edges_of(["a", "b"], sourced) == edges


@pytest.mark.parametrize(
    ("stage", "raised", "seen"),
    [
        (StageCall("s", NamedResource("x"), {}), Failure("E", "why"), Failure("E", "s: why")),
        (StageCall("s", NamedResource("x"), {}), Failure("E"), Failure("E", "s")),
        (StageCall("s", ActionResource("p", "Op"), {}), Failure("E", "w"), Failure("p.E", "s: w")),
    ],
)
def test_a_stages_failure_names_the_stage(stage: StageCall, raised: Failure, seen: Failure) -> None:
    assert stage_failure(stage, raised) == seen


def test_where_and_how_fast_a_stream_ran_is_no_part_of_its_history() -> None:
    def closed(detail: dict[str, Any]) -> Any:
        event = Event(2, EventType.STREAM_CLOSED, "copy", "", 0.0, 1, detail)
        return normalise([event])[""][0][2]

    opened = Event(1, EventType.STREAM_OPENED, "copy", "", 0.0, 0, {"run": "x", "segments": []})
    assert normalise([opened])[""] == [("StreamOpened", "copy", {})]
    edge = {"from": "read", "to": "pack", "chunks": 2, "bytes": 7}
    assert closed(FIGURES) == {"edges": [edge]}
    assert closed({**FIGURES, "aborted": True}) == {
        "edges": [{"from": "read", "to": "pack"}],
        "aborted": True,
    }
