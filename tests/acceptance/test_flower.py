"""Flower shows the steps of flows as Celery tasks, each by its own name."""

from __future__ import annotations

import ast
import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli.flower import USER, flower_process
from engine.runtime.engine import Engine
from engine.runtime.pointer import execution_id
from engine.runtime.views import Execution
from tests.acceptance.running import fresh_engine, run
from tests.acceptance.servers import answers, free_port
from tests.processes import WorkerProcess
from tests.waiting import wait_until

WORKING = Path(__file__).with_name("working_tasks.py")
PASSWORD = "open-sesame"
START_S = 40.0
STEPS = """
- {type: task, name: first, resourceArn: double}
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: value}
  steps: [{type: task, name: again, resourceArn: double}]
- type: task
  name: tries
  resourceArn: fehler
  retry: [{errors: [Größe.Überschritten], intervalSeconds: 1, maxAttempts: 1}]
  catch: [{errors: [FnF.ALL], goto: secret}]
- {type: task, name: secret, resourceArn: tell}
"""


@contextmanager
def flower(broker: str) -> Iterator[str]:
    """Flower as `penstock up` starts it; its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with flower_process(broker, port, PASSWORD, print):
        wait_until(lambda: answers(f"{url}/healthcheck"), START_S)
        yield url


def _api(url: str, path: str) -> Any:
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Basic {word}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


@dataclass(frozen=True, slots=True)
class Shown:
    """An execution, and the tasks that Flower shows of it: kwargs parsed, under `pointer`."""

    execution: Execution
    tasks: list[dict[str, Any]]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [task for task in self.tasks if task["name"] == name]


@pytest.fixture(scope="module")
def stack() -> Iterator[tuple[Engine, str]]:
    with fresh_engine() as (engine, url), WorkerProcess(url, [WORKING], ["-c", "1"]):
        with flower(url) as at:
            wait_until(lambda: _api(at, "/api/workers?status=1"), START_S)
            yield engine, at


@pytest.fixture(scope="module")
def shown(stack: tuple[Engine, str]) -> Shown:
    engine, url = stack
    ended = run(engine, "seen", STEPS, {"value": 1, "items": [1, 2, 3], "password": "swordfish"})
    assert ended.status == "Succeeded", (ended.error, ended.cause)

    def all_done() -> list[dict[str, Any]] | None:
        tasks = [dict(task) for task in _api(url, "/api/tasks").values()]
        last = [t for t in tasks if t["name"] == "tell" and t["state"] == "SUCCESS"]
        return tasks if last else None

    tasks = wait_until(all_done, 20, every_s=0.2)
    assert tasks is not None
    return Shown(ended, [{**t, "pointer": ast.literal_eval(t["kwargs"])} for t in tasks])


def test_flower_shows_a_step_by_the_name_of_its_resource(shown: Shown) -> None:
    assert {"double", "fehler", "tell"} <= {task["name"] for task in shown.tasks}
    assert {task["state"] for task in shown.tasks} == {"SUCCESS"}


def test_flower_shows_flow_execution_step_and_attempt(shown: Shown) -> None:
    (secret,) = shown.named("tell")
    where = {"flow": "seen", "execution": shown.execution.name}
    assert secret["pointer"].items() >= {**where, "step": "secret", "attempt": 1}.items()
    tries = [(t["pointer"]["step"], t["pointer"]["attempt"]) for t in shown.named("fehler")]
    assert sorted(tries) == [("tries", 1), ("tries", 2)]
    assert {t["pointer"]["step"] for t in shown.named("double")} == {"first", "each"}


def test_flower_shows_an_execution_as_one_tree(shown: Shown) -> None:
    root = execution_id("seen", shown.execution.name)
    assert root in {task["uuid"] for task in shown.tasks}
    others = [task for task in shown.tasks if task["uuid"] != root]
    assert {task["root_id"] for task in others} == {root}
    known = {task["uuid"] for task in shown.tasks}
    assert {task["parent_id"] for task in others} <= known


def test_flower_shows_no_data_of_users(shown: Shown, stack: tuple[Engine, str]) -> None:
    assert "swordfish" not in json.dumps(_api(stack[1], "/api/tasks"))


def test_flower_shows_the_worker(stack: tuple[Engine, str]) -> None:
    engine, url = stack
    (node,) = (worker.node for worker in engine.runtime.fleet.workers(fresh=True))
    assert set(_api(url, "/api/workers")) == {node}
