"""The simulator: flows in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from engine.core.checks import load_flow
from engine.core.graph import Graph
from engine.core.history import normalise
from engine.errors import (
    EngineError,
    InvalidArgument,
    TaskAlreadyCompleted,
    TaskInvalidState,
)
from engine.simulate.calls import WorkerDied
from engine.simulate.mocks import read_mocks
from engine.simulate.simulator import Simulation, simulate
from engine.simulate.world import World
from tasks import TaskError

DAY_S = 86400.0


def graph_of(steps: str, head: str = "") -> Graph:
    return load_flow(f"version: v1\ntype: flow\n{head}\nsteps:\n{steps}")[0]


def run(steps: str, input: dict[str, Any] | None = None, **how: Any) -> Simulation:
    return simulate(graph_of(steps, how.pop("head", "")), input, now=0.0, **how)


def lines(result: Simulation, frame: str = "") -> list[str]:
    return [f"{kind} {name}".strip() for kind, name, _ in normalise(result.history)[frame]]


WORK = "- {type: task, name: work, resourceArn: work, timeoutSeconds: 10}\n"


def test_a_wait_of_two_days_takes_no_time_but_two_days_of_the_clock() -> None:
    result = run(f"- {{type: wait, name: rest, duration: {2 * DAY_S}}}\n")
    assert result.status == "Succeeded"
    assert result.history[-1].time == 2 * DAY_S


def test_functions_may_be_plain_async_or_without_a_context() -> None:
    async def double(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"n": input["n"] * 2}

    def triple(input: dict[str, Any]) -> dict[str, Any]:
        return {"n": input["n"] * 3}

    steps = "".join(
        f"- {{type: task, name: {name}, resourceArn: {name}}}\n" for name in ("double", "triple")
    )
    assert run(steps, {"n": 1}, tasks={"double": double, "triple": triple}).output == {"n": 6}


def test_a_function_gets_a_copy_of_its_input_and_a_context() -> None:
    seen: list[Any] = []

    def work(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        seen.append((ctx.flow, ctx.execution, ctx.step, ctx.frame, ctx.attempt, ctx.cancelled))
        seen.append(ctx.idempotency_key)
        input["list"].append("changed")
        ctx.heartbeat()
        if ctx.attempt == 1:
            raise TaskError("Test.Again", "once more")
        return {"size": len(input["list"])}

    retry = "  retry: [{errors: [Test.Again]}]\n"
    result = run(
        "- type: task\n  name: work\n  resourceArn: work\n" + retry,
        {"list": []},
        tasks={"work": work},
        flow_name="orders",
        execution_name="e-1",
    )
    assert result.output == {"size": 1}
    assert seen[0] == ("orders", "e-1", "work", "", 1, False)
    assert seen[1] == seen[3]


@pytest.mark.parametrize("value", [object(), float("inf"), "\ud800"])
def test_a_result_that_is_no_json_fails_with_invalid_local(value: Any) -> None:
    result = run(WORK, tasks={"work": lambda input, ctx: {"x": value}})
    assert (result.status, result.error) == ("Failed", "FnF.InvalidLocal")


def test_a_task_that_exits_fails_as_on_a_worker() -> None:
    result = run(WORK, tasks={"work": lambda input: sys.exit(3)})
    assert (result.status, result.error, result.cause) == ("Failed", "SystemExit", "3")


def test_an_exception_is_named_by_its_class_and_message() -> None:
    def work(input: dict[str, Any], ctx: Any) -> None:
        raise KeyError("lost")

    result = run(WORK, tasks={"work": work})
    assert (result.error, result.cause) == ("KeyError", "'lost'")


def test_a_task_that_nobody_registered_is_function_not_found() -> None:
    result = run(WORK)
    assert result.error == "FC.FunctionNotFound"
    assert "TaskStarted work" not in lines(result)


def test_a_call_may_take_time_and_time_out() -> None:
    def work(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        ctx.take(10.5 if ctx.attempt == 1 else 10)
        return {"attempt": ctx.attempt}

    steps = WORK.replace("}", ", retry: [{errors: [FnF.TaskTimeout], intervalSeconds: 1}]}")
    result = run(steps, tasks={"work": work})
    assert result.output == {"attempt": 2}
    assert result.history[-1].time == 21
    assert "TaskTimedOut work" in lines(result)


def test_a_function_can_play_a_dying_worker() -> None:
    def work(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if ctx.attempt < 3:
            raise WorkerDied
        return {"attempt": ctx.attempt}

    assert run(WORK, tasks={"work": work}).output == {"attempt": 3}


MOCKS = """
steps:
  work:
    - {error: Test.Again, cause: closed, delay_s: 2}
    - {lost: true, delay_s: 3}
    - {output: {ok: yes}}
"""


def test_mocks_answer_call_after_call() -> None:
    steps = WORK.replace("}", ", retry: [{errors: [Test.Again], intervalSeconds: 1}]}")
    result = run(steps, mocks=read_mocks(MOCKS))
    assert result.output == {"ok": "yes"}
    assert result.history[-1].time == 2 + 1 + 3


@pytest.mark.parametrize(
    "key", ["work", "each/work", "each/steps/work", "flow:work", "flow:each/steps/work"]
)
def test_a_mock_is_found_by_name_way_or_path(key: str) -> None:
    steps = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps: [{type: task, name: work, resourceArn: work}]
  outputMappings: [{target: all, source: "$local[*].n"}]
"""
    mocks = {"steps": {key: {"output": {"n": 1}}, "each.1/work": {"output": {"n": 2}}}}
    result = run(steps, {"items": [0, 0, 0]}, mocks=mocks)
    assert result.output == {"all": [1, 1 if key.startswith("flow:") else 2, 1]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: {work: {outptu: 1}}", "outptu: unknown key; there is output, error"),
        ("steps: {work: {report: {reply: 1}}}", "reply: unknown key; there is output, error"),
        ("steps: {work: [{output: 1, error: E}]}", "one of output, error and lost"),
        ("steps: [1]", "steps"),
        ("work: {}", "work: unknown key; write the names of steps below the key 'steps'"),
        ("steps: {work: {delay_s: -1}}", "delay_s"),
        ("steps: {work: [", "BAD_YAML"),
    ],
)
def test_mocks_of_another_shape_are_refused_with_the_place(text: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=f"mocks.yml.*{told}"):
        read_mocks(text, "mocks.yml")


ASK = """
- type: task
  name: ask
  resourceArn: ask
  pattern: waitForCallback
  timeoutSeconds: 100
  inputMappings: [{target: token, source: $context.task.token}]
"""


def test_a_mock_reports_a_callback_later() -> None:
    mocks = {"steps": {"ask": {"report": {"output": {"by": "Ada"}, "delay_s": 99}}}}
    result = run(ASK, mocks=mocks)
    assert result.output == {"by": "Ada"}
    assert result.history[-1].time == 99


def test_a_callback_that_nobody_reports_times_out_or_leaves_the_flow_running() -> None:
    tasks: dict[str, Callable[..., Any]] = {"ask": lambda input, ctx: {}}
    assert run(ASK, tasks=tasks).error == "FnF.TaskTimeout"
    result = run(ASK.replace("timeoutSeconds: 100", "end: true"), tasks=tasks)
    assert (result.status, result.cause) == ("Running", "nobody reports what it waits for at: ask")


def test_reports_from_outside_are_taken_once_and_refused_otherwise() -> None:
    tokens: list[str] = []
    refused: list[EngineError] = []

    def ask(input: dict[str, Any], ctx: Any) -> None:
        tokens.append(input["token"])

    def report(world: World, token: str, by: str) -> None:
        try:
            world.report_succeeded(token, {"by": by})
        except EngineError as error:
            refused.append(error)

    def plan(world: World) -> None:
        world.clock.after(1, lambda: report(world, "forged", "Mallory"))
        world.clock.after(2, lambda: report(world, tokens[0], "Ada"))
        world.clock.after(3, lambda: report(world, tokens[0], "Bob"))

    result = run(
        ASK + "- {type: wait, name: rest, duration: 9}\n", tasks={"ask": ask}, outside=plan
    )
    assert result.output == {"by": "Ada"}
    assert [type(error) for error in refused] == [InvalidArgument, TaskAlreadyCompleted]


def test_between_two_attempts_nobody_waits_for_a_report() -> None:
    tokens: list[str] = []

    def plan(world: World) -> None:
        def act() -> None:
            execution = world.executions["flow", "simulation"]
            token = execution.token(execution, execution.frames[""])
            with pytest.raises(TaskInvalidState):
                world.report_failed(token, "No")
            tokens.append(token)

        world.clock.after(1, act)

    steps = ASK + "  retry: [{errors: [Test.Again], intervalSeconds: 5, maxAttempts: 1}]\n"
    run(steps, mocks={"steps": {"ask": {"error": "Test.Again"}}}, outside=plan)
    assert len(tokens) == 1


CHILD = """
- {type: wait, name: rest, duration: $.time}
- {type: pass, name: tell, outputMappings: [{target: t, source: $input.time}]}
"""
PARENT = """
- type: task
  name: call
  resourceArn: acs:fnf:::flow/child
  pattern: PATTERN
  serviceParams: {Input: $, ExecutionName: one}
"""


def call_child(pattern: str, child: str = CHILD, **how: Any) -> Simulation:
    flows = {"child": graph_of(child, how.pop("child_head", ""))}
    return run(PARENT.replace("PATTERN", pattern), {"time": 5}, flows=flows, **how)


def test_a_sync_child_gives_its_output() -> None:
    result = call_child("sync")
    assert result.output == {"t": 5}
    assert [(child.execution_name, child.status) for child in result.children] == [
        ("one", "Succeeded")
    ]
    assert "TaskSubmitted call" in lines(result)


def test_a_child_that_is_only_started_runs_to_its_end() -> None:
    result = call_child("requestResponse")
    assert result.output == {"executionName": "one", "flowName": "child"}
    assert result.history[-1].time == 0
    assert result.children[0].history[-1].time == 5


def test_a_childs_end_names_the_error() -> None:
    failing = "- {type: fail, name: no, error: Sold, cause: out}\n"
    assert call_child("sync", failing).error == "Sold"
    timed_out = call_child("sync", child_head="timeoutSeconds: 2")
    assert (timed_out.error, timed_out.cause) == (
        "FnF.TaskTimeout",
        "the child execution timed out",
    )
    assert timed_out.children[0].status == "TimedOut"


def test_a_parent_that_times_out_stops_its_sync_child() -> None:
    result = call_child("sync", head="timeoutSeconds: 2")
    assert result.status == "TimedOut"
    assert result.children[0].status == "Stopped"
    assert result.children[0].history[-1].time == 2
    assert lines(result)[-2:] == ["StepExited call", "ExecutionTimedOut"]


def test_an_unknown_flow_and_a_name_that_is_taken_are_errors_of_the_task() -> None:
    assert run(PARENT.replace("PATTERN", "sync")).error == "FnF.FlowNotExists"
    twice = PARENT.replace("PATTERN", "sync") + PARENT.replace("PATTERN", "sync").replace(
        "name: call", "name: again"
    )
    result = run(twice, {"time": 0}, flows={"child": graph_of(CHILD)})
    assert result.error == "FnF.ExecutionAlreadyExists"
    assert "TaskSubmitFailed again" in lines(result)


def test_started_executions_report_the_token_they_were_given() -> None:
    steps = """
- type: task
  name: start
  action: fnf:StartExecution
  pattern: waitForCallback
  inputMappings: [{target: token, source: $context.task.token}]
  serviceParams:
    FlowName: child
    Input: {time: 7}
    CallbackFnFTaskToken: $.token
"""
    result = run(steps, flows={"child": graph_of(CHILD)})
    assert result.output == {"t": 7}
    assert result.history[-1].time == 7
    plain = run(steps.replace("  pattern: waitForCallback\n", ""), flows={})
    assert plain.error == "fnf.FlowNotExists"


def test_messages_answer_with_their_ids() -> None:
    steps = "- {type: task, name: send, resourceArn: 'acs:mns:::/queues/q/messages'}\n"
    output = run(steps, {"a": 1}).output
    assert output is not None
    assert set(output) == {"MessageId", "RequestId", "MessageBodyMD5"}


BOTH = """
- type: parallel
  name: both
  branches:
  - steps: [{type: wait, name: rest, duration: 5}]
  - steps: [{type: task, name: work, resourceArn: work}]
"""


def test_the_first_failure_cuts_off_the_other_branches() -> None:
    result = run(BOTH, mocks={"steps": {"work": {"error": "Boom", "delay_s": 1}}})
    assert (result.status, result.error) == ("Failed", "Boom")
    assert result.history[-1].time == 1
    assert lines(result, "both.0") == [
        "BranchEntered",
        "StepEntered rest",
        "StepExited rest",
        "BranchExited",
    ]


def test_one_failure_more_than_tolerated_fails_the_foreach() -> None:
    steps = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  toleratedFailures: 1
  steps: [{type: task, name: work, resourceArn: work}]
  outputMappings: [{target: all, source: $local}]
"""
    mocks = {"steps": {"work": {"output": {}}, "each.1/work": {"error": "E1", "cause": "bad"}}}
    tolerated = run(steps, {"items": [0, 0, 0]}, mocks=mocks)
    assert tolerated.output == {"all": [{}, {"error": "E1", "cause": "bad"}, {}]}
    mocks["steps"]["each.2/work"] = {"error": "E2", "cause": "worse"}
    failed = run(steps, {"items": [0, 0, 0]}, mocks=mocks)
    assert (failed.error, failed.cause) == ("FnF.ToleranceExceeded", "E2: worse")


def test_a_stop_from_outside_cuts_off_everything() -> None:
    def plan(world: World) -> None:
        world.clock.after(2, lambda: world.executions["flow", "simulation"].stop("Enough", "now"))

    result = run(BOTH, mocks={"steps": {"work": {"output": {}}}}, outside=plan)
    assert (result.status, result.error, result.cause) == ("Stopped", "Enough", "now")
    assert lines(result) == [
        "ExecutionStarted",
        "StepEntered both",
        "StepExited both",
        "ExecutionStopped",
    ]


def test_a_flow_that_never_ends_is_given_up() -> None:
    steps = """
- {type: wait, name: rest, duration: 1}
- {type: choice, name: again, default: {goto: rest}}
"""
    result = run(steps, max_actions=1000)
    assert result.status == "Running"
    assert result.cause is not None and "1000" in result.cause
