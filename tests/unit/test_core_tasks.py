"""The scheduler's decisions on task steps."""

from __future__ import annotations

from engine.core.commands import Await, Finish, RunTask
from engine.core.happenings import (
    Reported,
    SubmitFailed,
    Submitted,
    TaskRaised,
    TaskReturned,
    TaskTimedOut,
    WorkerLost,
)
from engine.core.scheduler import (
    task_call,
)
from tests.unit.decisions import RUN, TASK, after, facts, first, graph_of


def test_a_task_is_scheduled_with_its_resource_input_and_attempt() -> None:
    decision = first(graph_of(TASK), amount=3)
    assert decision.command == RunTask()
    assert facts(decision) == ["ExecutionStarted", "StepEntered pay", "TaskScheduled pay"]
    assert decision.events[-1].detail == {"resource": "pay", "input": {"amount": 3}, "attempt": 1}


def test_a_returned_task_ends_the_flow_with_its_result() -> None:
    graph = graph_of(TASK)
    decision = after(graph, first(graph), TaskReturned({"paid": True}))
    assert decision.command == Finish(local={"paid": True}, output={"paid": True})
    assert facts(decision) == [
        "TaskSucceeded pay",
        "StepSucceeded pay",
        "StepExited pay",
        "ExecutionSucceeded",
    ]


def test_a_result_that_is_no_object_fails_the_step_with_invalid_local() -> None:
    graph = graph_of(TASK)
    decision = after(graph, first(graph), TaskReturned([1]))
    assert isinstance(decision.command, Finish)
    assert decision.command.error == "FnF.InvalidLocal"
    assert facts(decision) == [
        "TaskFailed pay",
        "StepFailed pay",
        "StepExited pay",
        "ExecutionFailed",
    ]


def test_a_failed_frame_keeps_standing_at_the_step_that_failed() -> None:
    graph = graph_of(TASK)
    before = first(graph)
    decision = after(graph, before, TaskRaised("Boom", "bang"))
    assert decision.frame.step == before.frame.step


RETRIED = """
- type: task
  name: pay
  resourceArn: pay
  retry:
  - {errors: [Busy], intervalSeconds: 2, maxAttempts: 2, multiplier: 3}
  - {errors: [FnF.TaskTimeout], intervalSeconds: 7, maxAttempts: 1}
"""


def test_each_retry_policy_counts_for_itself_and_waits_its_own_time() -> None:
    graph = graph_of(RETRIED)
    decision = first(graph)
    delays = []
    for happening in (TaskRaised("Busy", ""), TaskTimedOut(), TaskRaised("Busy", "")):
        decision = after(graph, decision, happening)
        assert isinstance(decision.command, RunTask)
        delays.append(decision.command.delay_s)
    assert delays == [2, 7, 6]
    assert decision.events[-1].detail["attempt"] == 4
    assert decision.events[-1].detail["delay_s"] == 6
    assert after(graph, decision, TaskTimedOut()).command == Finish(
        error="FnF.TaskTimeout", cause="pay took longer than its time limit"
    )


def test_a_lost_worker_without_a_policy_means_three_more_attempts_then_unknown() -> None:
    graph = graph_of(TASK)
    decision = after(graph, first(graph), WorkerLost(), WorkerLost(), WorkerLost())
    assert decision.command == RunTask()
    assert decision.events[-1].detail["attempt"] == 4
    last = after(graph, decision, WorkerLost()).command
    assert isinstance(last, Finish)
    assert last.error == "FC.Unknown"


def test_a_lost_worker_uses_the_retry_policy_for_unknown_and_nothing_else() -> None:
    graph = graph_of(
        TASK + "  retry: [{errors: [FC.Unknown], maxAttempts: 1}]\n"
        "  catch: [{errors: [FC.Unknown], goto: saved}]\n- {type: succeed, name: saved}\n"
    )
    decision = after(graph, first(graph), WorkerLost())
    assert decision.command == RunTask(1.0)
    decision = after(graph, decision, WorkerLost())
    assert isinstance(decision.command, Finish)
    assert not decision.command.failed


CAUGHT = """
- type: task
  name: pay
  resourceArn: pay
  end: true
  inputMappings: [{target: order, source: $input.order}]
  outputMappings: [{target: never, source: 1}]
  errorMappings:
  - {target: why, source: $local.cause}
  - {target: code, source: $local.code}
  - {target: order, source: $input.order}
  catch: [{errors: [FnF.ALL], goto: refund}]
- {type: pass, name: skipped}
- {type: pass, name: refund}
"""


def test_a_catch_wins_over_end_and_leaves_what_error_mappings_make() -> None:
    graph = graph_of(CAUGHT)
    decision = after(graph, first(graph, order=7, other=8), TaskRaised("Closed", "night"))
    assert decision.command == Finish(
        local={"why": "night", "code": "Closed", "order": 7},
        output={"why": "night", "code": "Closed", "order": 7},
    )
    assert facts(decision)[:3] == ["TaskFailed pay", "StepSucceeded pay", "StepExited pay"]
    assert "StepEntered skipped" not in facts(decision)


def test_an_action_puts_its_product_before_its_own_errors_but_not_before_reported_ones() -> None:
    graph = graph_of("- {type: task, name: put, action: 'oss:Put', pattern: waitForCallback}\n")
    begun = first(graph)
    own = after(graph, begun, TaskRaised("NoSuchBucket", "")).command
    reported = after(graph, begun, TaskRaised("Burnt", "", reported=True)).command
    assert isinstance(own, Finish) and isinstance(reported, Finish)
    assert (own.error, reported.error) == ("oss.NoSuchBucket", "Burnt")


CALLBACK = """
- type: task
  name: ask
  resourceArn: ask
  pattern: waitForCallback
  inputMappings: [{target: token, source: $context.task.token}]
  retry: [{errors: [Later]}]
"""


def test_a_callback_task_waits_after_its_function_and_takes_the_report() -> None:
    graph = graph_of(CALLBACK)
    decision = after(graph, first(graph), TaskReturned("whatever"))
    assert decision.command == Await("callback")
    assert facts(decision) == ["TaskSubmitted ask"]
    assert after(graph, decision, Reported({"ok": 1})).command == Finish({"ok": 1}, {"ok": 1})


def test_a_report_before_the_function_returns_is_taken() -> None:
    graph = graph_of(CALLBACK)
    assert after(graph, first(graph), Reported({})).command == Finish({}, {})


def test_every_attempt_of_a_callback_task_has_its_own_token() -> None:
    graph = graph_of(CALLBACK)
    begun = first(graph)
    again = after(graph, begun, TaskRaised("Later", ""))
    inputs = [task_call(graph, decision.frame, RUN).input for decision in (begun, again)]
    assert inputs == [{"token": "token-1"}, {"token": "token-2"}]


SUB_FLOW = """
- type: task
  name: child
  resourceArn: acs:fnf:::flow/kid
  pattern: sync
  serviceParams: {Input: $.order, ExecutionName: fixed}
  retry: [{errors: [Busy]}]
"""


def test_a_sync_child_is_submitted_and_then_reported() -> None:
    graph = graph_of(SUB_FLOW)
    begun = first(graph, order={"id": 1})
    call = task_call(graph, begun.frame, RUN)
    assert (call.input, call.execution_name) == ({"id": 1}, "fixed")
    decision = after(graph, begun, Submitted({"executionName": "fixed"}, "child"))
    assert decision.command == Await("child")
    assert after(graph, decision, Reported({"ok": 1})).command == Finish({"ok": 1}, {"ok": 1})


def test_the_nth_retry_of_a_child_has_the_suffix_n_but_a_lost_start_keeps_the_name() -> None:
    graph = graph_of(SUB_FLOW)
    lost = after(graph, first(graph), WorkerLost())
    retried = after(graph, lost, TaskRaised("Busy", ""))
    names = [task_call(graph, each.frame, RUN).execution_name for each in (lost, retried)]
    assert names == ["fixed", "fixed-retry-1"]


def test_a_child_that_cannot_start_fails_its_task() -> None:
    graph = graph_of(SUB_FLOW)
    decision = after(graph, first(graph), SubmitFailed("FnF.FlowNotExists", "no kid"))
    assert facts(decision)[0] == "TaskSubmitFailed child"
    assert isinstance(decision.command, Finish)
    assert decision.command.error == "FnF.FlowNotExists"
