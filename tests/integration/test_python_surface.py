"""What a Python program does with `penstock`, on a real server and a real worker."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine as engine_package
import penstock
import tasks
from engine.core.events import Event
from engine.errors import (
    EngineError,
    ExecutionAlreadyCompleted,
    ExecutionAlreadyExists,
    ExecutionNotExists,
    FlowAlreadyExists,
    FlowInvalid,
    FlowNotExists,
    InvalidArgument,
    TaskAlreadyCompleted,
)
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.command import PENSTOCK, Background
from tests.waiting import wait_until

WAIT_S = 20.0
TASKS = """\
from pathlib import Path
from penstock import TaskError, task

@task("surface:tell")
def tell(input, ctx):
    told = (ctx.execution, ctx.step, ctx.attempt, ctx.idempotency_key, ctx.cancelled)
    ctx.heartbeat()
    ctx.log.info("told")
    return {"told": told}

@task("surface:refuse")
async def refuse(input):
    raise TaskError("Shop.Closed", "until Monday")

@task("surface:ask")
def ask(input):
    Path(input["file"]).write_text(input["token"])
"""
HEAD = "version: v1\ntype: flow\nsteps:\n"
PASS = f"{HEAD}- {{type: pass, name: keep, outputMappings: [{{target: x, source: $input.x}}]}}\n"
REST = f"{HEAD}- {{type: wait, name: rest, duration: 600}}\n"
ASK = f"""{HEAD}
- type: task
  name: ask
  resourceArn: surface:ask
  pattern: waitForCallback
  inputMappings:
    - {{target: token, source: $context.task.token}}
    - {{target: file, source: $input.file}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis with a worker process."""
    folder = tmp_path_factory.mktemp("surface")
    (folder / "surface_tasks.py").write_text(TASKS)
    words = (PENSTOCK, "worker", "--tasks", "surface_tasks.py", "-c", "1")
    with (
        EmbeddedRedis() as redis,
        Background(*words, cwd=folder, env={"PENSTOCK_REDIS_URL": redis.url}) as worker,
    ):
        worker.says("ready\n")
        yield redis


@pytest.fixture(scope="module")
def engine(server: EmbeddedRedis) -> Engine:
    return penstock.Engine(server.url)


@pytest.fixture
def flow() -> str:
    """A flow's name that no other test has."""
    return f"f{uuid.uuid4().hex}"


def test_the_same_names_are_offered_by_the_facade_and_its_packages() -> None:
    assert penstock.Engine is engine_package.Engine is Engine
    assert penstock.task is tasks.task
    assert penstock.TaskError is tasks.TaskError
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        engine_package.Motor  # noqa: B018


def test_the_language_alone_loads_neither_celery_nor_redis() -> None:
    program = "import engine.fdl.parser, sys; print({'celery', 'redis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_a_flow_is_created_once_updated_listed_and_deleted(engine: Engine, flow: str) -> None:
    assert engine.create_flow(flow, PASS).version == 1
    with pytest.raises(FlowAlreadyExists, match="update_flow"):
        engine.create_flow(flow, REST)
    assert engine.update_flow(flow, REST).version == 2
    assert engine.describe_flow(flow).definition == REST
    assert flow in [each.name for each in engine.list_flows()]
    engine.delete_flow(flow)
    for call in (engine.describe_flow, engine.delete_flow, engine.start_execution):
        with pytest.raises(FlowNotExists, match=flow):
            call(flow)


@pytest.mark.parametrize("definition", [None, b"version: v1", {"version": "v1"}, "no flow"])
def test_a_definition_that_is_none_is_an_invalid_argument(
    engine: Engine, flow: str, definition: Any
) -> None:
    with pytest.raises(InvalidArgument, match=flow):
        engine.create_flow(flow, definition)


def test_a_definition_with_errors_tells_them_all(engine: Engine, flow: str) -> None:
    with pytest.raises(FlowInvalid) as invalid:
        engine.create_flow(flow, "version: v3\ntype: flow\nsteps: []\n")
    assert [problem.line for problem in invalid.value.problems] == [1, 3]


@pytest.mark.parametrize("name", ["", "a b", "1st", 5, None])
def test_a_name_that_no_flow_can_have_is_an_invalid_argument(engine: Engine, name: Any) -> None:
    with pytest.raises(InvalidArgument, match="flow name"):
        engine.create_flow(name, PASS)


@pytest.mark.parametrize("name", ["a b", "a:b", "-a", 5])
def test_a_name_that_no_execution_can_have_is_an_invalid_argument(
    engine: Engine, flow: str, name: Any
) -> None:
    engine.create_flow(flow, PASS)
    with pytest.raises(InvalidArgument, match="execution name"):
        engine.start_execution(flow, name=name)
    assert engine.list_executions(flow) == []


@pytest.mark.parametrize("value", [[1], "{}", {"x": {1}}, {"x": float("nan")}])
def test_an_input_that_is_no_json_object_starts_nothing(
    engine: Engine, flow: str, value: Any
) -> None:
    engine.create_flow(flow, PASS)
    with pytest.raises(InvalidArgument, match="input"):
        engine.start_execution(flow, input=value)
    assert engine.list_executions(flow) == []


def test_an_execution_is_started_once_by_its_name(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, REST)
    run = engine.start_execution(flow, input={"x": 1}, name="2026-11-20")
    again = engine.start_execution(flow, input={"x": 2}, name="2026-11-20")
    assert again.name == run.name == "2026-11-20"
    assert [each.input for each in engine.list_executions(flow)] == [{"x": 1}]
    engine.stop_execution(flow, run.name)
    with pytest.raises(ExecutionAlreadyExists):
        engine.start_execution(flow, name=run.name)


def test_a_wait_gives_the_execution_or_a_timeout_error(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, REST)
    run = engine.start_execution(flow)
    with pytest.raises(TimeoutError):
        run.wait(timeout_s=0.1)
    engine.update_flow(flow, PASS)
    done = engine.start_execution(flow, input={"x": [{}], "y": 2**70}).wait(timeout_s=WAIT_S)
    assert (done.flow_name, done.status, done.output) == (flow, "Succeeded", {"x": [{}]})
    assert (done.input, done.error, done.cause) == ({"x": [{}], "y": 2**70}, None, None)
    assert done.stopped_time is not None and done.started_time <= done.stopped_time


def test_a_stop_keeps_the_error_and_cause_that_it_was_given(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, REST)
    for error, cause in ((None, None), ("Ops.Stop", "too late")):
        run = engine.start_execution(flow)
        stopped = engine.stop_execution(flow, run.name, error=error, cause=cause)
        assert (stopped.status, stopped.error, stopped.cause) == ("Stopped", error, cause)
        assert stopped.output is None
        with pytest.raises(ExecutionAlreadyCompleted):
            engine.stop_execution(flow, run.name)


def test_executions_are_listed_newest_first_by_flow_and_status(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, PASS)
    names = [f"e-{number}" for number in range(3)]
    for name in names:
        engine.start_execution(flow, name=name).wait(timeout_s=WAIT_S)
    assert [each.name for each in engine.list_executions(flow=flow)] == names[::-1]
    assert [each.name for each in engine.list_executions(flow, limit=2)] == names[:0:-1]
    assert len(engine.list_executions(flow=flow, status="Succeeded")) == 3
    assert engine.list_executions(flow=flow, status="Failed") == []
    assert flow in [each.flow_name for each in engine.list_executions()]


def test_a_history_is_read_from_an_event_on_and_up_to_a_number(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, PASS)
    run = engine.start_execution(flow, input={"x": 1})
    run.wait(timeout_s=WAIT_S)

    def ids(**how: int) -> list[int]:
        return [event.event_id for event in engine.get_execution_history(flow, run.name, **how)]

    assert ids() == ids(after=-1) == [1, 2, 3, 4, 5]
    assert (ids(after=3), ids(limit=2), ids(after=1, limit=2)) == ([4, 5], [1, 2], [2, 3])
    assert ids(after=5) == ids(limit=0) == []
    second = engine.get_execution_history(flow, run.name)[1]
    assert second == Event(2, second.type, "keep", "", second.time, 1, {"input": {"x": 1}})


def test_what_is_not_there_is_named(engine: Engine, flow: str) -> None:
    calls = (engine.describe_execution, engine.get_execution_history, engine.stop_execution)
    for call in (*calls, engine.wait):
        with pytest.raises(ExecutionNotExists, match="nobody"):
            call(flow, "nobody")


def test_a_task_is_told_what_it_is(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, f"{HEAD}- {{type: task, name: t, resourceArn: surface:tell}}\n")
    run = engine.start_execution(flow)
    output = run.wait(timeout_s=WAIT_S).output
    assert output is not None
    execution, step, attempt, key, cancelled = output["told"]
    assert (execution, step, attempt, cancelled) == (run.name, "t", 1, False)
    assert key


def test_an_error_of_a_task_is_the_executions(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, f"{HEAD}- {{type: task, name: t, resourceArn: surface:refuse}}\n")
    failed = engine.start_execution(flow).wait(timeout_s=WAIT_S)
    assert (failed.status, failed.error, failed.cause) == ("Failed", "Shop.Closed", "until Monday")
    assert failed.output is None


def test_a_token_is_reported_once_with_an_object(
    engine: Engine, flow: str, tmp_path: Path
) -> None:
    engine.create_flow(flow, ASK)
    file = tmp_path / "token"
    run = engine.start_execution(flow, input={"file": str(file)})
    wait_until(lambda: file.exists() and file.read_text() != "", WAIT_S)
    token = file.read_text()
    for bad in (None, "", "forged", f"{token[:-4]}AAAA"):
        with pytest.raises(InvalidArgument, match="token"):
            engine.report_task_succeeded(bad, {})  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidArgument, match="output must be a JSON object"):
        engine.report_task_succeeded(token, ["done"])  # type: ignore[arg-type]  # likewise
    engine.report_task_succeeded(token, {"done": True})
    assert run.wait(timeout_s=WAIT_S).output == {"done": True}
    with pytest.raises(TaskAlreadyCompleted):
        engine.report_task_failed(token, "Late", "after the end")


def test_a_deeply_nested_input_is_refused_or_read_again(engine: Engine, flow: str) -> None:
    engine.create_flow(flow, PASS)
    with pytest.raises(InvalidArgument, match="nested too deeply"):
        engine.start_execution(flow, input=_nested(100_000))
    done = engine.start_execution(flow, input=_nested(600)).wait(timeout_s=WAIT_S)
    assert done.input == _nested(600)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "no-url", "redis://:secret@127.0.0.1:1"])
def test_an_engine_without_a_redis_says_so_in_one_line(url: str) -> None:
    with pytest.raises(EngineError) as refused:
        penstock.Engine(url)
    assert len(str(refused.value).splitlines()) == 1
    assert "secret" not in str(refused.value)


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"x": value}
    return value
