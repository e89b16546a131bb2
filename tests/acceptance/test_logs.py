"""Logs of real workers: each line says which execution, step and attempt it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import Settings
from engine.runtime.engine import Engine
from tests.acceptance.running import run
from tests.processes import WorkerProcess
from tests.waiting import wait_until

TASKS = Path(__file__).with_name("logged_tasks.py")
STEPS = """
- {type: task, name: loud, resourceArn: speak}
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: value}
  steps: [{type: task, name: item, resourceArn: speak}]
- type: task
  name: broken
  resourceArn: speak
  inputMappings: [{target: fail, source: true}]
  retry: [{errors: [Broken], intervalSeconds: 1, maxAttempts: 1}]
  catch: [{errors: [FnF.ALL], goto: last}]
- type: stream
  name: last
  steps: [{type: task, name: stage, resourceArn: speak_in_stream}]
"""


def _ran(redis_url: str, form: str, pool: str) -> tuple[str, str]:
    """The name of an execution, and all that its worker has written."""
    engine = Engine(redis_url, Settings())
    env = {"PENSTOCK_LOG_FORMAT": form, "PENSTOCK_LOG_LEVEL": "info"}
    with WorkerProcess(redis_url, [TASKS], ["-c", "1", "-P", pool], env) as worker:
        ended = run(engine, "logged", STEPS, {"items": [1]})
        assert ended.status == "Succeeded", (ended.error, ended.cause)
        wait_until(lambda: worker.log.count("succeeded in") >= 3)
    return ended.name, worker.log


@pytest.fixture(params=["prefork", "threads"])
def lines(request: pytest.FixtureRequest, redis_url: str) -> Iterator[list[dict[str, Any]]]:
    name, log = _ran(redis_url, "json", request.param)
    found = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {line.get("execution", name) for line in found} == {name}
    yield found


def _said(lines: list[dict[str, Any]], message: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["message"] == message]


def _places(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["step"], each.get("frame"), each["attempt"]) for each in lines]


PLACES = [("loud", None, 1), ("item", "each.0", 1), ("broken", None, 1), ("broken", None, 2)]


def test_every_line_of_a_step_says_where_it_is(lines: list[dict[str, Any]]) -> None:
    own = _said(lines, "by its context")
    assert _places(own) == PLACES
    assert {(line["flow"], line["logger"], line["size"]) for line in own} == {
        ("logged", "penstock.task", 7)
    }
    # Whoever logs it: libraries know nothing of us.
    assert _places(_said(lines, "by a library: two words")) == PLACES
    assert _places(_said(lines, "by a stage")) == [("last/stage", None, 1)]
    failed = _said(lines, "task failed")
    assert _places(failed) == PLACES[2:]
    assert all(line["error"] == "Broken" and "line two" in line["exception"] for line in failed)
    assert {line["level"] for line in failed} == {"info"}


def test_lines_of_celery_about_a_message_say_what_it_is_about(lines: list[dict[str, Any]]) -> None:
    celerys = [line for line in lines if line["message"].startswith("Task ")]
    kinds = {line["message"].split()[2] for line in celerys}
    assert kinds == {"received", "succeeded"}
    assert {line.get("step") for line in celerys} >= {"loud", "each", "broken"}
    assert all(line["flow"] == "logged" for line in celerys)
    assert not any("data" in line for line in lines)


def test_a_line_of_nothing_in_particular_has_no_place(lines: list[dict[str, Any]]) -> None:
    (connected,) = [line for line in lines if line["message"].startswith("Connected to ")]
    assert set(connected) == {"time", "level", "logger", "process", "message"}


def test_a_text_line_has_its_fields_at_its_end(redis_url: str) -> None:
    name, log = _ran(redis_url, "text", "prefork")
    found = [line for line in log.splitlines() if "by its context" in line]
    assert len(found) == 4
    assert found[1].endswith(
        f" by its context flow=logged execution={name} step=item frame=each.0 attempt=1 size=7"
    )
    (failed, _) = [line for line in log.splitlines() if "task failed" in line]
    assert failed.endswith("step=broken attempt=1 error=Broken")
    assert log[log.index(failed) + len(failed) :].startswith("\nTraceback")
