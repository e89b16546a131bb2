"""The commands that each do one operation on the configured Redis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.command import PENSTOCK, Background, penstock
from tests.processes import WorkerProcess

FLOW = """\
version: v1
type: flow
steps:
  - type: task
    name: greet
    resourceArn: greet
"""
WAITING = """\
version: v1
type: flow
steps:
  - type: wait
    name: rest
    duration: 600
"""
CALLBACK = """\
version: v1
type: flow
steps:
  - type: task
    name: ask
    resourceArn: ask
    pattern: waitForCallback
    inputMappings:
      - {target: token, source: $context.task.token}
    outputMappings:
      - {target: answer, source: $local.answer}
"""
TASKS = """\
from pathlib import Path
from penstock import task

@task("greet")
def greet(input, ctx):
    return {"text": f"hello {input['who']}"}

@task("ask")
def ask(input, ctx):
    (Path(__file__).parent / "token").write_text(input["token"])
    return {}
"""

FIGURES = {"duplicates_absorbed", "stale_refused", "handovers", "redispatches"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("operations")
    texts = {
        "greet.yml": FLOW, "wait.yml": WAITING, "ask.yml": CALLBACK, "my_tasks.py": TASKS,
        "bad.yml": FLOW.replace("name: greet", "nme: greet"),
    }  # fmt: skip
    for name, text in texts.items():
        (path / name).write_text(text)
    return path


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with EmbeddedRedis() as server, WorkerProcess(server.url, [folder / "my_tasks.py"]):
        engine = Engine(server.url)
        for name in ("greet", "wait", "ask"):
            engine.create_flow(name, (folder / f"{name}.yml").read_text())
        yield server.url


@pytest.fixture
def engine(url: str) -> Engine:
    return Engine(url)


@pytest.fixture
def env(url: str) -> dict[str, str]:
    return {"PENSTOCK_REDIS_URL": url}


def test_a_flow_is_created_described_updated_listed_and_deleted(
    folder: Path, env: dict[str, str]
) -> None:
    created = penstock(
        "flow", "create", "mine", "greet.yml", "--description", "says hello", "--format", "json",
        cwd=folder, env=env,
    )  # fmt: skip
    assert json.loads(created.stdout)["version"] == 1
    again = penstock("flow", "create", "mine", "greet.yml", cwd=folder, env=env)
    assert again.returncode == 2
    assert again.stderr.startswith("penstock: FlowAlreadyExists: ")
    updated = penstock("flow", "update", "mine", "wait.yml", cwd=folder, env=env)
    assert re.search(r"^version +2$", updated.stdout, re.MULTILINE)
    text = penstock("flow", "describe", "mine", "--definition", cwd=folder, env=env).stdout
    assert text == WAITING
    assert re.search(
        r"^mine +2 .*says hello$", penstock("flow", "list", cwd=folder, env=env).stdout, re.M
    )
    assert penstock("flow", "delete", "mine", cwd=folder, env=env).returncode == 0
    gone = penstock("flow", "describe", "mine", cwd=folder, env=env)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert gone.stderr.startswith("penstock: FlowNotExists: ")


def test_a_bad_flow_is_refused_with_its_own_lines(folder: Path, env: dict[str, str]) -> None:
    done = penstock("flow", "create", "bad", "bad.yml", cwd=folder, env=env)
    assert done.returncode in (1, 2)
    assert "bad.yml:5:5: error: UNKNOWN_KEY" in done.stderr


def test_start_prints_the_name_and_watch_the_output(folder: Path, env: dict[str, str]) -> None:
    name = penstock(
        "start", "greet", "--input", '{"who": "you"}', cwd=folder, env=env
    ).stdout.strip()
    watched = penstock("watch", "greet", name, cwd=folder, env=env)
    assert watched.returncode == 0
    assert json.loads(watched.stdout)["text"] == "hello you"
    assert "greet succeeded" in watched.stderr
    described = penstock("describe", "greet", name, "--format", "json", cwd=folder, env=env)
    assert json.loads(described.stdout)["status"] == "Succeeded"
    assert set(json.loads(described.stdout)["report"]) == FIGURES
    text = penstock("describe", "greet", name, cwd=folder, env=env).stdout
    assert re.search(
        r"^report +\d+ duplicates absorbed, \d+ stale refused, \d+ handovers, \d+ redispatches$",
        text,
        re.MULTILINE,
    )
    events = penstock("history", "greet", name, "--format", "json", cwd=folder, env=env)
    assert json.loads(events.stdout)[0]["type"] == "ExecutionStarted"
    page = penstock("history", "greet", name, "--after", "1", "--limit", "2", cwd=folder, env=env)
    assert [line.split()[0] for line in page.stdout.splitlines()] == ["id", "2", "3"]


def test_a_second_start_of_a_name_finds_the_first(
    folder: Path, env: dict[str, str], engine: Engine
) -> None:
    first = penstock("start", "wait", "--name", "daily", "--format", "json", cwd=folder, env=env)
    second = penstock("start", "wait", "--name", "daily", cwd=folder, env=env)
    assert json.loads(first.stdout) == {"flow_name": "wait", "name": "daily"}
    assert second.stdout == "daily\n"
    assert len(engine.list_executions("wait")) == 1


def test_a_stopped_execution_ends_its_watching_with_1(
    folder: Path, env: dict[str, str], engine: Engine
) -> None:
    engine.start_execution("wait", name="long")
    with Background(PENSTOCK, "watch", "wait", "long", cwd=folder, env=env) as watch:
        watch.says("rest entered")
        stopped = penstock("stop", "wait", "long", "--cause", "enough", cwd=folder, env=env)
        assert stopped.stdout == "wait/long: Stopped\n"
        assert watch.process.wait(20) == 1
        assert "cause: enough" in watch.stderr
    again = penstock("stop", "wait", "long", cwd=folder, env=env)
    assert again.returncode == 1
    assert again.stderr.startswith("penstock: ExecutionAlreadyCompleted: ")


def test_a_paused_execution_says_so_until_it_is_resumed(
    folder: Path, env: dict[str, str], engine: Engine
) -> None:
    engine.start_execution("wait", name="held")
    told = ("--by", "ann", "--reason", "lunch")
    for _ in range(2):  # twice is once
        paused = penstock("pause", "wait", "held", "--freeze-timers", *told, cwd=folder, env=env)
        assert (paused.returncode, paused.stdout) == (0, "wait/held: Paused\n"), paused.stderr
    listed = penstock("list", "wait", "--status", "Paused", cwd=folder, env=env).stdout
    assert "held" in listed
    with Background(PENSTOCK, "watch", "wait", "held", cwd=folder, env=env) as watch:
        watch.says("paused (ann: lunch)")
        for _ in range(2):
            resumed = penstock("resume", "wait", "held", "--by", "bob", cwd=folder, env=env)
            assert (resumed.returncode, resumed.stdout) == (0, "wait/held: Running\n")
        watch.says("resumed (bob)")
        engine.stop_execution("wait", "held")
        assert watch.process.wait(20) == 1
    details = [(str(e.type), e.detail) for e in engine.get_execution_history("wait", "held")]
    assert [told for told in details if "Paused" in told[0] or "Resumed" in told[0]] == [
        ("ExecutionPaused", {"by": "ann", "reason": "lunch", "timers": "freeze"}),
        ("ExecutionResumed", {"by": "bob"}),
    ]
    ended = penstock("pause", "wait", "held", cwd=folder, env=env)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert ended.stderr.startswith("penstock: ExecutionAlreadyCompleted: ")


def test_an_interrupted_watching_leaves_the_execution_alone(
    folder: Path, env: dict[str, str], engine: Engine
) -> None:
    engine.start_execution("wait", name="untouched")
    with Background(PENSTOCK, "watch", "wait", "untouched", cwd=folder, env=env) as watch:
        watch.says("rest entered")
        assert watch.end() == 130
    assert engine.describe_execution("wait", "untouched").status == "Running"
    engine.stop_execution("wait", "untouched")


def test_executions_are_listed_newest_first_by_flow_and_status(
    folder: Path, env: dict[str, str], engine: Engine
) -> None:
    for name in ("older", "newer"):
        engine.start_execution("greet", {"who": name}, name).wait(20)
    listed = penstock("list", "greet", "--status", "Succeeded", cwd=folder, env=env).stdout
    assert listed.index("newer") < listed.index("older")
    limited = penstock("list", "--limit", "1", "--format", "json", cwd=folder, env=env).stdout
    assert [each["name"] for each in json.loads(limited)] == ["newer"]
    assert penstock("list", "--status", "Nonsense", cwd=folder, env=env).returncode == 2


def test_a_callback_is_reported_once(folder: Path, env: dict[str, str], engine: Engine) -> None:
    run = engine.start_execution("ask", name="question")
    with Background(PENSTOCK, "watch", "ask", "question", cwd=folder, env=env) as watch:
        watch.says("ask entered")
        token = _token(engine, folder)
        both = penstock("report", token, "--output", "{}", "--error", "E", cwd=folder, env=env)
        assert (both.returncode, both.stderr) == (
            2,
            "penstock: report: give either --output or --error\n",
        )
        done = penstock("report", token, "--output", '{"answer": 42}', cwd=folder, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert watch.process.wait(20) == 0
    assert run.wait(20).output == {"answer": 42}
    late = penstock("report", token, "--error", "E", "--cause", "c", cwd=folder, env=env)
    assert late.stderr.startswith("penstock: TaskAlreadyCompleted: ")
    forged = penstock("report", "forged", "--output", "{}", cwd=folder, env=env)
    assert (forged.returncode, len(forged.stderr.splitlines())) == (2, 1)


def _token(engine: Engine, folder: Path) -> str:
    after = 0
    while True:
        events = engine.follow("ask", "question", after, 5)
        assert events
        after = events[-1].event_id
        if any(event.type == "TaskSubmitted" for event in events):
            return (folder / "token").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["start", "nothing"],
        ["describe", "greet", "nothing"],
        ["history", "greet", "nothing"],
        ["watch", "greet", "nothing"],
        ["stop", "greet", "nothing"],
        ["pause", "greet", "nothing"],
        ["resume", "greet", "nothing"],
        ["flow", "update", "nothing", "greet.yml"],
        ["flow", "delete", "nothing"],
        ["start", "greet", "--input", "3"],
        ["start", "greet", "--name", "a name"],
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(
    folder: Path, env: dict[str, str], words: list[str]
) -> None:
    done = penstock(*words, cwd=folder, env=env)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("penstock: ")


@pytest.mark.parametrize("words", [["list"], ["flow", "list"], ["start", "x"], ["worker"]])
def test_without_a_redis_every_operation_ends_with_3_and_one_line(
    folder: Path, words: list[str]
) -> None:
    for env in ({}, {"PENSTOCK_REDIS_URL": "redis://127.0.0.1:1/0"}):
        done = penstock(*words, cwd=folder, env=env)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


def test_a_redis_that_does_not_persist_is_a_warning_of_start(folder: Path) -> None:
    with EmbeddedRedis() as server:
        Engine(server.url).create_flow("greet", FLOW)
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
        env = {"PENSTOCK_REDIS_URL": server.url}
        done = penstock("start", "greet", "--input", '{"who": "you"}', cwd=folder, env=env)
    assert done.returncode == 0
    assert done.stderr.startswith("penstock: warning: this Redis does not persist")
