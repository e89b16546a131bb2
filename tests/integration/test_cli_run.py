"""`penstock run`, as people run it: its own Redis and worker, JSON alone on stdout."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
import redis

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.command import PENSTOCK, Background, on_terminal, penstock, processes_of
from tests.processes import WorkerProcess
from tests.waiting import wait_until

TASKS = """\
import time
from penstock import TaskError, task

@task("double")
def double(input, ctx):
    return {"n": 2 * input["n"]}

@task("rest")
def rest(input, ctx):
    print("resting")
    ends_at = time.monotonic() + input.get("seconds", 60)
    while time.monotonic() < ends_at and not ctx.cancelled:
        time.sleep(0.05)
    return {}

@task("break")
def broken(input, ctx):
    raise TaskError("Broken", "on purpose")
"""
NUMBERS = """\
version: v1
type: flow
steps:
  - type: foreach
    name: numbers
    iterationMapping: {collection: $.numbers, item: n}
    steps:
      - {type: task, name: double, resourceArn: double}
    outputMappings:
      - {target: all, source: "$local[*].n"}
"""
ONE_TASK = """\
version: v1
type: flow
steps:
  - {type: task, name: call, resourceArn: TASK}
"""
PARENT = """\
version: v1
type: flow
steps:
  - type: task
    name: hand-over
    resourceArn: acs:fnf:::flow/<child>
    pattern: sync
    serviceParams: {Input: $}
    outputMappings:
      - {target: all, source: $local.all}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {
        "my_tasks.py": TASKS, "numbers.yml": NUMBERS, "parent.yml": PARENT,
        "rest.yml": ONE_TASK.replace("TASK", "rest"),
        "broken.yml": ONE_TASK.replace("TASK", "break"),
        "nobody.yml": ONE_TASK.replace("TASK", "nobody"),
        "bad.yml": ONE_TASK.replace("resourceArn", "resourceArm"),
        "my flow.v2.yml": NUMBERS, "日本.yml": NUMBERS,
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def _numbers(*numbers: int) -> str:
    return json.dumps({"numbers": numbers})


def test_the_output_stands_alone_on_stdout_and_nothing_is_left(folder: Path) -> None:
    done = penstock(
        "run", "numbers.yml", "--tasks", "my_tasks.py", "--input", _numbers(1, 2, 3), cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"all": [2, 4, 6]}
    assert "numbers entered" in done.stderr
    assert "numbers.2/double succeeded" in done.stderr
    assert processes_of(folder) == []


def test_a_terminal_shows_a_tree_and_a_bar(folder: Path) -> None:
    code, shown = on_terminal(
        PENSTOCK, "run", "numbers.yml", "--tasks", "my_tasks.py", "--input", _numbers(1, 2),
        cwd=folder,
    )  # fmt: skip
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert code == 0, shown
    assert re.search(r"✓ numbers ━+ 2/2", last)
    assert "└── ✓ double ×2" in last
    assert last.rstrip().endswith('{"all": [2, 4]}')


def test_a_failure_says_error_and_cause_on_stderr_only(folder: Path) -> None:
    done = penstock("run", "broken.yml", "--tasks", "my_tasks.py", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Failed after" in done.stderr
    assert "error: Broken\ncause: on purpose\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_task_that_nobody_serves_is_a_warning_and_then_a_failure(folder: Path) -> None:
    done = penstock("run", "nobody.yml", cwd=folder)
    assert done.returncode == 1
    assert "nobody.yml:4:5: warning: TASK_UNSERVED call: no worker serves 'nobody'" in done.stderr
    assert "error: FC.FunctionNotFound" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bad.yml"], "bad.yml:4:30: error: UNKNOWN_KEY"),
        (["missing.yml"], "penstock: missing.yml: no such flow file"),
        (["numbers.yml", "--input", "[1]"], "the input must be a JSON object, not a list"),
        (["numbers.yml", "--input", "{"], "not JSON"),
        (["numbers.yml", "--flow", "x"], "write NAME=FILE"),
        (["numbers.yml", "--flow", "a b=numbers.yml"], "no flow can be named 'a b'"),
        (["numbers.yml", "--flow", "numbers=rest.yml"], "was given before"),
        (["numbers.yml", "--tasks", "none.py"], "--tasks none.py: no such file"),
        (["日本.yml"], "日本.yml: no flow can be named ''"),
    ],
)
def test_what_cannot_run_is_told_in_a_line_and_nothing_starts(
    folder: Path, words: list[str], told: str
) -> None:
    done = penstock("run", *words, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(folder) == []


def test_a_file_with_an_odd_name_gets_a_flow_with_a_plain_one(folder: Path, redis_url: str) -> None:
    done = penstock(
        "run", "my flow.v2.yml", "--tasks", "my_tasks.py", "--input", _numbers(4), cwd=folder,
        env={"PENSTOCK_REDIS_URL": redis_url},
    )  # fmt: skip
    assert json.loads(done.stdout) == {"all": [8]}
    assert [flow.name for flow in Engine(redis_url).list_flows()] == ["my-flow-v2"]


def test_a_sub_flow_is_handed_over_and_shown(folder: Path) -> None:
    done = penstock(
        "run", "parent.yml", "--flow", "<child>=numbers.yml", "--tasks", "my_tasks.py",
        "--input", _numbers(5), cwd=folder,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"all": [10]}
    assert "child: numbers.0/double succeeded" in done.stderr


def test_a_missing_sub_flow_is_a_warning(folder: Path) -> None:
    done = penstock("run", "parent.yml", "--input", "{}", cwd=folder)
    assert done.returncode == 1
    assert "FLOW_UNKNOWN hand-over: no flow 'child' is deployed" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing_behind(
    folder: Path, number: signal.Signals, code: int
) -> None:
    words = ["run", "rest.yml", "--tasks", "my_tasks.py"]
    with Background(PENSTOCK, *words, cwd=folder) as run:
        run.says("resting")
        assert run.end(number) == code
        assert run.stdout == ""
        assert "stopped rest/" in run.stderr
    wait_until(lambda: processes_of(folder) == [])


def test_a_killed_run_leaves_no_worker_and_no_redis(folder: Path) -> None:
    words = ["run", "rest.yml", "--tasks", "my_tasks.py", "--input", '{"seconds": 1}']
    with Background(PENSTOCK, *words, cwd=folder) as run:
        run.says("resting")
        run.end(signal.SIGKILL)
        wait_until(lambda: processes_of(folder) == [], timeout_s=30)


def test_on_a_configured_redis_an_interrupt_stops_the_execution(
    folder: Path, redis_url: str
) -> None:
    words = ["run", "rest.yml", "--tasks", "my_tasks.py", "--name", "long"]
    with Background(PENSTOCK, *words, cwd=folder, env={"PENSTOCK_REDIS_URL": redis_url}) as run:
        run.says("resting")
        run.end()
    execution = Engine(redis_url).describe_execution("rest", "long")
    assert (execution.status, execution.error) == ("Stopped", "Interrupted")


def test_a_running_fleet_is_used_and_a_changed_flow_updated(folder: Path, redis_url: str) -> None:
    env = {"PENSTOCK_REDIS_URL": redis_url}
    Engine(redis_url).create_flow("numbers", ONE_TASK)
    with WorkerProcess(redis_url, [folder / "my_tasks.py"]):
        done = penstock("run", "numbers.yml", "--input", _numbers(7), cwd=folder, env=env)
    assert json.loads(done.stdout) == {"all": [14]}
    assert Engine(redis_url).describe_flow("numbers").version == 2


def test_a_redis_that_loses_its_data_and_a_missing_fleet_are_warnings(
    folder: Path, tmp_path: Path
) -> None:
    flow = folder / "pass.yml"
    flow.write_text("version: v1\ntype: flow\nsteps:\n  - {type: wait, name: w, duration: 60}\n")
    with EmbeddedRedis() as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
        env = {"PENSTOCK_REDIS_URL": server.url}
        with Background(PENSTOCK, "run", "pass.yml", cwd=folder, env=env) as run:
            run.says("does not persist")
            run.says("no worker is running")
            run.end()


def test_an_unreachable_redis_is_one_line_and_exit_code_3(folder: Path) -> None:
    env = {"PENSTOCK_REDIS_URL": "redis://:hunter2@127.0.0.1:1/0"}
    done = penstock("run", "numbers.yml", cwd=folder, env=env)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("penstock: cannot use Redis at redis://")
    assert "hunter2" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
