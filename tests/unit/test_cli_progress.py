"""The progress of an execution, worked out from real histories."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from rich.console import Console

from engine.cli.progress import Progress
from engine.cli.step_tree import duration, step_tree
from engine.core.checks import load_flow
from engine.core.states import ExecutionStatus
from engine.simulate.simulator import simulate
from tasks import TaskError

FLOW = """\
version: v1
type: flow
steps:
  - type: foreach
    name: orders
    iterationMapping: {collection: $.orders, item: order}
    toleratedFailures: 1
    steps:
      - type: parallel
        name: both
        branches:
          - steps:
              - type: task
                name: pay
                resourceArn: pay
                retry: [{errors: [Busy], intervalSeconds: 1}]
          - steps: [{type: pass, name: note}]
  - type: choice
    name: rich
    choices:
      - condition: $.rich == "yes"
        steps: [{type: pass, name: gift}]
    default:
      goto: bye
  - {type: pass, name: bye}
"""


def _pay(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    if input["order"] == "busy" and ctx.attempt == 1:
        raise TaskError("Busy", "later")
    if input["order"] == "bad":
        raise TaskError("Bad", "never")
    return {}


def _progress(orders: list[str], upto: str | None = None) -> Progress:
    """The progress of an execution with these orders, up to the first event of a type."""
    graph, _ = load_flow(FLOW)
    history = simulate(graph, {"orders": orders}, tasks={"pay": _pay}, now=0.0).history
    progress = Progress(graph)
    for event in history:
        progress.apply(event)
        if event.type == upto:
            break
    return progress


def _shown(progress: Progress) -> str:
    text = StringIO()
    console = Console(width=100, file=text)
    console.print(step_tree({("shop", "one"): progress}, ("shop", "one"), console))
    return text.getvalue()


def test_items_and_branches_are_counted_where_they_belong() -> None:
    steps = _progress(["a", "b", "c"]).steps
    orders = steps["orders"]
    assert (orders.total, orders.done, orders.failed) == (3, 3, 0)
    pay = steps["orders/steps/both/branches/0/pay"]
    assert (pay.visits, pay.succeeded, pay.active) == (3, 3, 0)
    assert steps["rich/choices/0/gift"].visits == 0
    assert steps["bye"].succeeded == 1


def test_failed_items_are_counted_beside_the_others() -> None:
    orders = _progress(["a", "bad", "c"]).steps["orders"]
    assert (orders.total, orders.done, orders.failed) == (3, 3, 1)


def test_what_was_cut_off_counts_as_stopped_not_as_done() -> None:
    graph, _ = load_flow(FLOW.replace("toleratedFailures: 1", "toleratedFailures: 0"))
    ended = simulate(graph, {"orders": ["busy", "bad"]}, tasks={"pay": _pay}, now=0.0)
    progress = Progress(graph)
    for event in ended.history:
        progress.apply(event)
    assert (progress.steps["orders"].total, progress.steps["orders"].done) == (2, 1)
    both = progress.steps["orders/steps/both"]
    assert (both.total, both.done) == (4, 3)
    assert progress.steps["orders/steps/both/branches/0/pay"].aborted == 1
    assert " in 1 s" not in _shown(progress)


def test_a_retry_is_noted_until_it_succeeds() -> None:
    path = "orders/steps/both/branches/0/pay"
    assert _progress(["busy"]).steps[path].note == ""
    graph, _ = load_flow(FLOW)
    history = simulate(graph, {"orders": ["busy"]}, tasks={"pay": _pay}, now=0.0).history
    progress, notes = Progress(graph), []
    for event in history:
        progress.apply(event)
        notes.append(progress.steps[path].note)
    assert "attempt 2 in 1 s" in notes


def test_the_status_follows_the_events() -> None:
    assert _progress(["a"], upto="StepEntered").status is ExecutionStatus.RUNNING
    assert _progress(["a"]).status is ExecutionStatus.SUCCEEDED


def test_the_tree_shows_bars_counts_and_what_has_not_been_reached() -> None:
    text = _shown(_progress(["a", "bad", "c"]))
    assert re.search(r"orders ━+ 3/3 1 failed", text)
    assert "pay ×3" in text
    assert re.search(r"[○.] gift", text)
    assert re.search(r"[✓+] bye", text)


def test_durations_read_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (0.04, 59.9, 125, 12_000)] == [
        "0.0 s",
        "59.9 s",
        "2 min 05 s",
        "3 h 20 min",
    ]
