"""Flower shows the steps of flows as Celery tasks, each by its own name."""

from __future__ import annotations

import ast
import base64
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli.flower import USER, flower_process
from engine.cli.flower_pages import console_address
from engine.runtime.engine import Engine
from engine.runtime.pointer import execution_id
from engine.runtime.views import Execution
from tests.acceptance.running import fresh_engine, run
from tests.acceptance.servers import answers, free_port, process
from tests.processes import WorkerProcess
from tests.waiting import wait_until

WORKING = Path(__file__).with_name("working_tasks.py")
PASSWORD = "open-sesame"
CONSOLE = "http://flows.example.com"
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
    with flower_process(broker, port, f"{USER}:{PASSWORD}", print, CONSOLE):
        wait_until(lambda: answers(f"{url}/healthcheck"), START_S)
        yield url


def _api(url: str, path: str) -> Any:
    return json.loads(_get(url, path))


def _get(url: str, path: str) -> bytes:
    with urllib.request.urlopen(_request(url, path), timeout=5) as answer:
        text: bytes = answer.read()
        return text


def _status(url: str, path: str, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(_request(url, path, body), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _request(url: str, path: str, body: bytes | None = None) -> urllib.request.Request:
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return urllib.request.Request(f"{url}{path}", body, {"Authorization": f"Basic {word}"})


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


def test_the_name_of_an_execution_finds_its_tasks(shown: Shown, stack: tuple[Engine, str]) -> None:
    engine, url = stack
    other = engine.start_execution("seen", {"value": 1, "items": [], "password": ""}).wait(20)
    wait_until(lambda: _api(url, f"/api/tasks?search={other.name}"), 20)
    found = _api(url, f"/api/tasks?search={shown.execution.name}")
    assert set(found) == {task["uuid"] for task in shown.tasks}


def test_the_page_of_a_task_names_the_console_of_its_execution(
    shown: Shown, stack: tuple[Engine, str]
) -> None:
    (task,) = shown.named("tell")
    page = _get(stack[1], f"/task/{task['uuid']}").decode()
    assert ">Console<" in page
    assert f"{CONSOLE}/console/executions/seen/{shown.execution.name}" in page


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ("{'flow': 'f', 'execution': 'e'}", "http://api/console/executions/f/e"),
        (
            "{'flow': '批量', 'execution': 'a/b'}",
            "http://api/console/executions/%E6%89%B9%E9%87%8F/a%2Fb",
        ),
        ("{'flow': 'f', 'execu...", ""),
        ("{'order': 7}", ""),
        ("[1, 2]", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_only_tasks_of_executions_have_a_console(kwargs: str | None, expected: str) -> None:
    assert console_address("http://api/", kwargs) == expected
    assert console_address("", kwargs) == ""


def test_flower_by_itself_is_read_only_too(redis_url: str) -> None:
    port = free_port()
    env = {
        "CELERY_BROKER_URL": redis_url,
        "FLOWER_BASIC_AUTH": f"{USER}:{PASSWORD}",
        "FLOWER_PORT": str(port),
        "FLOWER_ADDRESS": "127.0.0.1",
    }
    url = f"http://127.0.0.1:{port}"
    with process([sys.executable, "-P", "-m", "engine.cli.flower"], env=env):
        wait_until(lambda: answers(f"{url}/healthcheck"), START_S)
        assert _status(url, "/api/worker/shutdown/any", b"") == 403
        assert _status(url, "/api/workers") == 200


def test_flower_shows_no_data_of_users(shown: Shown, stack: tuple[Engine, str]) -> None:
    assert "swordfish" not in json.dumps(_api(stack[1], "/api/tasks"))


def test_flower_shows_the_worker(stack: tuple[Engine, str]) -> None:
    engine, url = stack
    (node,) = (worker.node for worker in engine.runtime.fleet.workers(fresh=True))
    assert set(_api(url, "/api/workers")) == {node}
