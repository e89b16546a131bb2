"""A pair on a real store: deployed, started, reported to and stopped as it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import engine.errors
from engine.core.checks import load_flow
from engine.core.events import Event, EventType
from engine.fdl.model import WaitStep
from engine.runtime.engine import Engine, Run
from engine.runtime.views import Execution
from tests.fundamentals.mailbox import Mailbox
from tests.fundamentals.outside import forged, submitted_attempts
from tests.fundamentals.pairs import Pair, Report
from tests.fundamentals.token_files import token_file
from tests.waiting import wait_until

END_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A store with a worker behind it; scripted tasks write their tokens into `tokens`."""

    engine: Engine
    redis_url: str
    tokens: Path


def run_on(bench: Bench, pair: Pair) -> Execution:
    """Runs a pair to its end; does and checks what it says of reports, stops and messages."""
    wanted = pair.expect.messages
    if wanted is None:
        return _run(bench, pair)
    kind = "queue" if "queue" in wanted else "topic"
    with Mailbox(bench.redis_url, kind, wanted[kind]) as mailbox:
        execution = _run(bench, pair)
        text, body = mailbox.take(), wanted["body"]
        assert (text if isinstance(body, str) else json.loads(text)) == body
    return execution


def history_of(bench: Bench, execution: Execution) -> list[Event]:
    """All events of an execution."""
    return bench.engine.get_execution_history(execution.flow_name, execution.name)


def children_end_as_expected(bench: Bench, pair: Pair) -> None:
    """Waits until each child that the pair names has the status it says."""
    places = [place.split("/") for place in pair.expect.children]

    def statuses() -> list[str]:
        return [bench.engine.describe_execution(flow, name).status for flow, name in places]

    wait_until(lambda: statuses() == list(pair.expect.children.values()))


def _run(bench: Bench, pair: Pair) -> Execution:
    for name, text in {pair.name: pair.text, **pair.sub_flows}.items():
        bench.engine.create_flow(name, text)
    run = bench.engine.start_execution(pair.name, pair.input, pair.expect.name)
    _operate(bench, pair, run, "while_running")
    for report in pair.reports:
        _report(bench, pair, run, report)
    if pair.stop is not None:
        _stop(bench, pair, run)
    execution = run.wait(END_WITHIN_S)
    _operate(bench, pair, run, "")
    wait_until(lambda: run.describe().dropped == pair.expect.dropped)
    return execution


def _report(bench: Bench, pair: Pair, run: Run, report: Report) -> None:
    if not report.early and report.refused is None:
        wait_until(lambda: _waiting_attempt(bench, run, report.step) == report.attempt)
    token = _token(bench, pair, run, report)
    if report.refused is None:
        _send(bench, token, report)
        return
    with pytest.raises(getattr(engine.errors, report.refused)):
        _send(bench, token, report)


def _send(bench: Bench, token: str, report: Report) -> None:
    if report.failed is not None:
        bench.engine.report_task_failed(token, **report.failed)
    else:
        bench.engine.report_task_succeeded(token, report.succeeded)


def _waiting_attempt(bench: Bench, run: Run, step: str) -> int:
    history = bench.engine.get_execution_history(run.flow_name, run.name)
    return submitted_attempts(history, step)


def _token(bench: Bench, pair: Pair, run: Run, report: Report) -> str:
    attempt = report.token_of_attempt or report.attempt
    file = token_file(bench.tokens, run.name, report.step, attempt)

    def found() -> str | None:
        if file.exists():
            return file.read_text()
        inputs = (child.input for flow in pair.expect.flows for child in _executions(bench, flow))
        return next((given["token"] for given in inputs if given and "token" in given), None)

    token = wait_until(found)
    assert token is not None
    return forged(token) if report.forged else token


def _executions(bench: Bench, flow: str) -> list[Execution]:
    return bench.engine.list_executions(flow)


def _stop(bench: Bench, pair: Pair, run: Run) -> None:
    stop = pair.stop
    assert stop is not None
    texts = {pair.name: pair.text, **pair.sub_flows}
    wait_until(lambda: all(_waits(bench, flow, text) for flow, text in texts.items()))
    whom = (stop.flow or run.flow_name, stop.execution or run.name)
    bench.engine.stop_execution(*whom, error=stop.error, cause=stop.cause)


def _waits(bench: Bench, flow: str, text: str) -> bool:
    """True when an execution of the flow stands at a wait, or at a child that it waits for."""
    nodes = load_flow(text)[0].nodes.values()
    waits = {node.step.name for node in nodes if isinstance(node.step, WaitStep)}
    last = [event for end in _executions(bench, flow) for event in history_of(bench, end)[-1:]]
    return bool(last) and all(
        event.type is EventType.TASK_SUBMITTED
        or (event.type is EventType.STEP_ENTERED and event.step_name in waits)
        for event in last
    )


def _operate(bench: Bench, pair: Pair, run: Run, when: str) -> None:
    for name in pair.expect.operations:
        if name.endswith("while_running") == bool(when):
            _OPERATIONS[name](bench, pair, run)


def _update(bench: Bench, pair: Pair, run: Run) -> None:
    bench.engine.update_flow(pair.name, pair.text.replace("source: old", "source: new"))
    other = bench.engine.start_execution(pair.name, pair.input)
    assert other.wait(END_WITHIN_S).output == {"definition": "new"}


def _start_again(bench: Bench, pair: Pair, run: Run) -> None:
    again = bench.engine.start_execution(pair.name, {"other": "input"}, run.name)
    assert (again.flow_name, again.name) == (run.flow_name, run.name)
    assert len(_executions(bench, pair.name)) == 1


def _start_after_the_end(bench: Bench, pair: Pair, run: Run) -> None:
    with pytest.raises(engine.errors.ExecutionAlreadyExists):
        bench.engine.start_execution(pair.name, pair.input, run.name)


def _start_without_a_name(bench: Bench, pair: Pair, run: Run) -> None:
    names = {bench.engine.start_execution(pair.name, pair.input).name for _ in range(2)}
    assert len(names) == 2
    assert all(len(name) == 36 for name in names), "UUIDs"


def _pause(bench: Bench, pair: Pair, run: Run) -> None:
    texts = {pair.name: pair.text, **pair.sub_flows}
    wait_until(lambda: all(_waits(bench, flow, text) for flow, text in texts.items()))
    at = (pair.name, run.name)
    bench.engine.pause_execution(*at, freeze_timers=True, by="ann", reason="lunch")
    before = bench.engine.get_execution_history(*at)
    # Another one has the time to end; this one must not.
    assert bench.engine.start_execution(pair.name, pair.input).wait(END_WITHIN_S).status.ended
    assert run.describe().status == "Paused"
    assert bench.engine.get_execution_history(*at) == before
    bench.engine.resume_execution(*at, by="bob")


_OPERATIONS: Mapping[str, Callable[[Bench, Pair, Run], None]] = {
    "update_while_running": _update,
    "start_again_while_running": _start_again,
    "start_again_after_the_end": _start_after_the_end,
    "start_without_a_name": _start_without_a_name,
    "pause_and_resume_while_running": _pause,
}
