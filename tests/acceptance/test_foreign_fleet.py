"""Tasks of an existing Celery fleet run as steps; its workers do not have Penstock."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.core.events import EventType
from engine.runtime.engine import Engine
from engine.runtime.views import Execution
from tests.acceptance.running import fresh_engine, history, of_type, run
from tests.acceptance.servers import free_port, process
from tests.processes import WorkerProcess
from tests.waiting import wait_until

HOME = Path(__file__).parent
START_S = 30.0


@contextmanager
def fleet(broker: str, backend: str = "") -> Iterator[None]:
    """A plain Celery worker, started where it finds nothing of ours."""
    command = [sys.executable, "-m", "celery", "-A", "foreign_fleet", "worker"]
    command += ["--pool=solo", "--loglevel=info"]
    env = {"FLEET_BROKER": broker, "FLEET_BACKEND": backend, "PYTHONPATH": ""}
    with process(command, HOME, env) as log:
        wait_until(lambda: " ready." in log.read_text(errors="replace"), START_S)
        yield


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine beside a fleet that keeps no results."""
    with fresh_engine() as (engine, url), WorkerProcess(url, options=["-c", "1"]), fleet(url):
        yield engine


def _call(
    engine: Engine, name: str, task: str, given: Any, policies: str = "", timeout_s: int = 20
) -> Execution:
    """One step that calls a task of the fleet with constants; its whole local is the output."""
    mappings = [{"target": key, "source": value} for key, value in given.items()]
    return run(
        engine,
        name,
        f"""
- type: task
  name: call
  resourceArn: celery:foreign_fleet.{task}
  inputMappings: {json.dumps(mappings)}
  timeoutSeconds: {timeout_s}
  outputMappings: [{{target: said, source: $local}}]
  {policies}
- {{type: pass, name: after}}
""",
    )


def test_a_result_of_a_foreign_task_is_the_steps_local(engine: Engine) -> None:
    assert _call(engine, "sum", "add", {"x": 2, "y": 40}).output == {"said": {"sum": 42}}


def test_a_result_that_is_no_object_is_an_invalid_local(engine: Engine) -> None:
    failed = _call(engine, "number", "count", {"x": 1})
    assert (failed.status, failed.error) == ("Failed", "FnF.InvalidLocal")


def test_a_foreign_worker_knows_nothing_of_us(engine: Engine) -> None:
    given = {"name": "Zoë", "sizes": [1, 2], "deep": {"a": None}}
    said = {"given": given, "knows": []}
    assert _call(engine, "describe", "describe", given).output == {"said": said}


def test_positional_arguments_are_handed_over_in_order(engine: Engine) -> None:
    assert _call(engine, "in_order", "add", {"args": [5, 6]}).output == {"said": {"sum": 11}}


def test_a_failure_there_fails_the_step(engine: Engine) -> None:
    failed = _call(engine, "unnamed", "order", {"item": "tea"})
    assert (failed.status, failed.error) == ("Failed", "FC.Unknown")
    assert "PENSTOCK_FLEET_RESULT_BACKEND is not set" in str(failed.cause)


def test_a_failure_there_can_be_retried_and_caught(engine: Engine) -> None:
    policies = """retry: [{errors: [FC.Unknown], intervalSeconds: 1, maxAttempts: 1}]
  catch: [{errors: [FC.Unknown], goto: after}]"""
    caught = _call(engine, "caught", "order", {"item": "tea"}, policies)
    assert caught.status == "Succeeded", caught.cause
    attempts = of_type(history(engine, caught), EventType.TASK_SCHEDULED)
    assert [one["attempt"] for one in attempts] == [1, 2]


@pytest.mark.parametrize(
    ("task", "given"), [("ponder", {"seconds": 2}), ("no_such_task", {})], ids=["slow", "unknown"]
)
def test_a_task_that_does_not_answer_in_time_times_out(
    engine: Engine, task: str, given: dict[str, Any]
) -> None:
    late = _call(engine, f"late_{task}", task, given, timeout_s=1)
    assert (late.status, late.error) == ("Failed", "FnF.TaskTimeout")


def test_a_failure_has_its_class_name_with_a_result_backend() -> None:
    with fresh_engine() as (engine, url):
        backend = url.removesuffix("/0") + "/1"
        env = {"PENSTOCK_FLEET_RESULT_BACKEND": backend}
        with WorkerProcess(url, options=["-c", "1"], env=env), fleet(url, backend):
            failed = _call(engine, "named", "order", {"item": "tea"})
            assert (failed.error, failed.cause) == ("StockError", "no tea in stock")
            failed = _call(engine, "odd", "add", {"x": 1, "y": "one"})
            assert failed.error == "TypeError"
            assert _call(engine, "sum", "add", {"x": 1, "y": 2}).output == {"said": {"sum": 3}}


def test_a_failure_has_no_name_if_the_result_backend_is_away() -> None:
    env = {"PENSTOCK_FLEET_RESULT_BACKEND": f"redis://127.0.0.1:{free_port()}/0"}
    with fresh_engine() as (engine, url):
        with WorkerProcess(url, options=["-c", "1"], env=env), fleet(url):
            failed = _call(engine, "nameless", "order", {"item": "tea"})
            assert failed.error == "FC.Unknown"
            assert "result backend does not tell" in str(failed.cause)
