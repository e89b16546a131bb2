"""The commands that are processes: `worker`, `up`, `doctor`, `fake-oss`, and the demo."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from PIL import Image

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.command import PENSTOCK, Background, command, penstock, processes_of
from tests.waiting import wait_until

FLOW = """\
version: v1
type: flow
steps:
  - {type: task, name: shout, resourceArn: shout}
"""
TASKS = """\
import os

from penstock import task

@task("shout")
def shout(input, ctx):
    return {"text": input["text"].upper(), "told": os.environ.get("GLIBC_TUNABLES")}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shout.yml").write_text(FLOW)
    (tmp_path / "my_tasks.py").write_text(TASKS)
    return tmp_path


@pytest.mark.parametrize(
    "options", [["-c", "2"], ["-P", "threads"], ["-P", "solo", "-Q", "penstock"]]
)
def test_a_worker_says_ready_and_serves_its_tasks_and_the_shipped_ones(
    folder: Path, redis_url: str, options: list[str]
) -> None:
    env = {"PENSTOCK_REDIS_URL": redis_url}
    words = ["worker", "--tasks", "my_tasks.py", *options]
    with Background(PENSTOCK, *words, cwd=folder, env=env) as worker:
        worker.says("ready")
        began_with = Path(f"/proc/{worker.process.pid}/environ").read_bytes().split(b"\0")
        assert any(each.startswith(b"GLIBC_TUNABLES=") for each in began_with)
        engine = Engine(redis_url)
        served = engine.runtime.fleet.workers()[0]
        assert {"shout", "oss:restore"} <= set(served.tasks)
        engine.create_flow("shout", FLOW)
        execution = engine.start_execution("shout", {"text": "hey"}).wait(20)
        assert execution.output is not None and execution.output["text"] == "HEY"
        assert execution.output["told"] is None, "what tasks start would inherit it"
        assert worker.end(signal.SIGTERM) == 0
    assert processes_of(folder) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tasks", "none.py"], "penstock: --tasks none.py: no such file"),
        (["--pool", "swimming"], "Invalid value"),
    ],
)
def test_a_worker_that_cannot_start_says_why(
    folder: Path, redis_url: str, words: list[str], told: str
) -> None:
    done = penstock("worker", *words, cwd=folder, env={"PENSTOCK_REDIS_URL": redis_url})
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_worker_prints_help_of_its_own(folder: Path) -> None:
    done = penstock("worker", "--help", cwd=folder)
    assert done.returncode == 0
    for option in ("--tasks", "-Q", "-c", "-P"):
        assert option in done.stdout


ANY_PORTS = ["--api-port", "0", "--flower-port", "0"]


def test_the_local_stack_runs_flows_shows_them_everywhere_and_ends_with_ctrl_c(
    folder: Path,
) -> None:
    words = ["up", "--tasks", "my_tasks.py", *ANY_PORTS, "-c", "2", "--workers", "2"]
    with Background(PENSTOCK, *words, cwd=folder) as stack:
        stack.says("Ctrl-C stops it all")
        _await_events_in_flower(stack.stdout, workers=2)
        url = _found(r"export PENSTOCK_REDIS_URL=(\S+)", stack.stdout)
        done = penstock(
            "run", "shout.yml", "--input", '{"text": "hey"}', "--name", "first",
            cwd=folder, env={"PENSTOCK_REDIS_URL": url},
        )  # fmt: skip
        assert json.loads(done.stdout)["text"] == "HEY"
        assert len(Engine(url).runtime.fleet.workers()) == 2
        kwargs = _kwargs_in_flower(stack.stdout, "shout")
        for part in ("'flow': 'shout'", "'execution': 'first'", "'step': 'shout'", "'attempt': 1"):
            assert part in kwargs
        api = _found(r"api +(http://127\.0\.0\.1:\d+)  no access keys", stack.stdout)
        with urllib.request.urlopen(f"{api}/v1/flows/shout/executions/first") as answer:
            assert json.load(answer)["status"] == "Succeeded"
        assert stack.end() == 0
    assert processes_of(folder) == []


def test_console_and_flower_of_the_local_stack_lead_to_each_other(folder: Path) -> None:
    words = ["up", "--tasks", "my_tasks.py", *ANY_PORTS, "-c", "1"]
    with Background(PENSTOCK, *words, cwd=folder) as stack:
        stack.says("Ctrl-C stops it all")
        console = _found(r"console +(http://\S+/console/)", stack.stdout)
        flower, login = _flower(stack.stdout)
        assert _status(console, login) == 200
        caller = json.loads(_get(f"{console}data/me", login))
        assert caller["flower"] == flower
        url = _found(r"export PENSTOCK_REDIS_URL=(\S+)", stack.stdout)
        engine = Engine(url)
        engine.create_flow("shout", FLOW)
        _await_events_in_flower(stack.stdout, workers=1)
        assert engine.start_execution("shout", {"text": "hey"}, "a.b").wait(20).output
        # As the console makes the link.
        task = f"{flower}/task/{quote('shout:a.b', safe='')}"
        assert wait_until(lambda: _status(task, login) == 200)
        assert f"{console}executions/shout/a.b" in _get(task, login).decode()


def test_a_stack_that_is_told_to_end_leaves_nothing_behind(folder: Path) -> None:
    with Background(PENSTOCK, "up", *ANY_PORTS, "-c", "1", cwd=folder) as stack:
        stack.says("Ctrl-C stops it all")
        assert len(processes_of(folder)) >= 4
        assert stack.end(signal.SIGTERM) == 128 + signal.SIGTERM
        assert processes_of(folder) == []


def test_a_killed_stack_takes_its_processes_with_it(folder: Path) -> None:
    with Background(PENSTOCK, "up", *ANY_PORTS, "-c", "1", cwd=folder) as stack:
        stack.says("Ctrl-C stops it all")
        stack.end(signal.SIGKILL)
        wait_until(lambda: processes_of(folder) == [], timeout_s=40)


@pytest.mark.parametrize("option", ["--api-port", "--flower-port"])
def test_a_port_that_is_taken_is_refused_before_anything_starts(folder: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = penstock("up", *ANY_PORTS, option, str(port), cwd=folder)
    told = f"penstock: port {port} is taken; give another one with {option} (0: any)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def test_flower_is_read_only_and_behind_a_password(folder: Path) -> None:
    words = ["up", "--no-api", "--flower-port", "0", "-c", "1"]
    with Background(PENSTOCK, *words, cwd=folder) as stack:
        stack.says("Ctrl-C stops it all")
        assert "api " not in stack.stdout
        flower, login = _flower(stack.stdout)
        assert _status(flower + "/api/workers", "penstock:wrong") == 401
        assert wait_until(lambda: _status(flower + "/api/workers", login) == 200)
        assert _status(flower + "/api/worker/shutdown/any", login, b"") == 403


def test_a_password_for_flower_that_is_given_is_not_printed(folder: Path) -> None:
    words = ["up", "--no-api", "--flower-port", "0", "-c", "1"]
    env = {"FLOWER_BASIC_AUTH": "me:swordfish"}
    with Background(PENSTOCK, *words, cwd=folder, env=env) as stack:
        stack.says("Ctrl-C stops it all")
        flower = _found(r"flower +(http://\S+)  login as FLOWER_BASIC_AUTH says", stack.stdout)
        assert "swordfish" not in stack.stdout + stack.stderr
        assert _status(flower + "/api/workers", "penstock:wrong") == 401
        assert wait_until(lambda: _status(flower + "/api/workers", "me:swordfish") == 200)


def test_the_doctor_is_content_with_a_good_redis_and_names_what_is_wrong(folder: Path) -> None:
    with EmbeddedRedis() as server:
        env = {"PENSTOCK_REDIS_URL": server.url}
        done = penstock("doctor", "--format", "json", cwd=folder, env=env)
        findings = {each["what"]: each for each in json.loads(done.stdout)}
        assert done.returncode == 0
        assert findings["persistence"]["verdict"] == "ok"
        assert findings["workers"]["verdict"] == "warning"
        assert findings["figures"]["text"].startswith("of all executions: 0 duplicates absorbed, ")
        assert server.url not in done.stdout
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("maxmemory", "100mb")
        sick = penstock("doctor", cwd=folder, env=env)
    assert sick.returncode == 1
    assert re.search(r"^warning +persistence +appendonly no", sick.stdout, re.MULTILINE)
    assert re.search(r"^failed +memory .*allkeys-lru", sick.stdout, re.MULTILINE)


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1/0", "nonsense"])
def test_the_doctor_fails_without_a_redis(folder: Path, url: str) -> None:
    done = penstock("doctor", cwd=folder, env={"PENSTOCK_REDIS_URL": url})
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert done.stderr == ""


def test_the_oss_server_says_where_it_listens(folder: Path) -> None:
    words = ["fake-oss", "--port", "0", "--bucket", "b", "--objects", "3"]
    with Background(PENSTOCK, *words, cwd=folder) as oss:
        oss.says("listening on http://127.0.0.1:")
        url = _found(r"listening on (\S+)", oss.stderr)
        assert _status(f"{url}/-/stats", "x:y") == 200
        assert oss.end() == 0


def test_the_demo_restores_300_objects_streams_a_picture_and_cleans_up(folder: Path) -> None:
    done = command(sys.executable, "-P", "-m", "engine.cli.demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()
    assert re.fullmatch(r"restored 300 of 300 objects in \d+\.\d s", last[-3])
    result = folder / last[-2].removeprefix("result: ")
    with Image.open(folder / last[-1].removeprefix("picture: ")) as picture:
        picture.load()
        assert picture.size == (6000, 4000)
    steps = re.findall(r"^step +(\S+) in process (\d+)$", done.stdout, re.MULTILINE)
    assert [step for step, _ in steps] == ["split", "compress", "watermark", "join"]
    assert len({pid for _, pid in steps}) >= 2
    edge = r"^edge +compress -> watermark: \d+ chunks, .*from process to process$"
    assert re.search(edge, done.stdout, re.MULTILINE)
    lines = result.read_text().splitlines()
    assert len(lines) == 300
    assert all(line.split("\t")[1:] == ["frozen", "thawed"] for line in lines)
    assert done.stderr.count("  listArchiveFiles succeeded") >= 2
    assert done.stderr.count("restoreFlow: restoreForeach succeeded") >= 2
    assert processes_of(folder) == []
    again = command(sys.executable, "-P", "-m", "engine.cli.demo", cwd=folder)
    assert again.returncode == 0, again.stderr


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


def _flower(shown: str) -> tuple[str, str]:
    found = re.search(r"flower +(http://\S+) +(\S+) / (\S+)", shown)
    assert found, shown
    return found[1], f"{found[2]}:{found[3]}"


def _await_events_in_flower(shown: str, workers: int) -> None:
    """Until Flower hears so many workers; what they tell before that it never shows."""
    flower, login = _flower(shown)
    path = f"{flower}/api/workers?status=1"
    wait_until(lambda: len(json.loads(_get(path, login))) == workers, 40)


def _kwargs_in_flower(shown: str, task: str) -> str:
    flower, password = _flower(shown)

    def found() -> list[str]:
        tasks = json.loads(_get(f"{flower}/api/tasks", password))
        return [str(each["kwargs"]) for each in tasks.values() if each["name"] == task]

    return wait_until(found)[0]


def _status(url: str, password: str, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(_request(url, password, body), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _get(url: str, password: str) -> bytes:
    with urllib.request.urlopen(_request(url, password, None), timeout=10) as answer:
        text: bytes = answer.read()
    return text


def _request(url: str, password: str, body: bytes | None) -> urllib.request.Request:
    word = base64.b64encode(password.encode()).decode()
    return urllib.request.Request(url, body, {"Authorization": f"Basic {word}"})
