"""The Redis user of deploy/redis-users.acl: it may do all that the program does, and no more."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.schedules import ScheduleChange
from engine.runtime.searching import Search
from engine.runtime.versions import Route
from tests.acceptance.running import HEAD
from tests.acceptance.streaming import TASKS, given, read, stream_step
from tests.command import penstock
from tests.processes import WorkerProcess
from tests.waiting import wait_until

ACL = Path(__file__).resolve().parents[2] / "deploy" / "redis-users.acl"
PASSWORD = "a-password-of-the-test"
COUNT, SIZE = 20, 50_000
STEPS = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps: [{type: wait, name: rest, duration: 1}]
- {type: wait, name: later, duration: 2}
- type: parallel
  name: both
  branches: [{steps: [{type: pass, name: one}]}, {steps: [{type: pass, name: two}]}]
"""
FAILS = "\n- {type: fail, name: no, error: E}"
QUICK = {
    "PENSTOCK_LEASE_S": "2",
    "PENSTOCK_SWEEP_EVERY_S": "0.3",
    "PENSTOCK_DISPATCH_GRACE_S": "1",
}


@dataclass(frozen=True, slots=True)
class Guarded:
    """A Redis whose user is the one of the file: its administrator, and the URL of the user."""

    admin: Any
    url: str

    @property
    def refused(self) -> list[str]:
        """What Redis has refused the user since it was asked last."""
        entries = self.admin.acl_log()
        self.admin.acl_log_reset()
        return [f"{each['reason']} {each['object']}" for each in entries]


def user_rules(text: str) -> list[str]:
    """The rules of the user `penstock`, its password left out."""
    (line,) = [line for line in text.splitlines() if line.startswith("user penstock ")]
    return [rule for rule in line.split()[2:] if not rule.startswith(("#", ">"))]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with EmbeddedRedis() as server:
        admin: Any = redis.Redis.from_url(server.url, decode_responses=True)
        rules = user_rules(ACL.read_text())
        admin.execute_command("ACL", "SETUSER", "penstock", "reset", f">{PASSWORD}", *rules)
        place = server.url.rpartition("@")[2]
        yield Guarded(admin, f"redis://penstock:{PASSWORD}@{place}")
        admin.close()


@pytest.fixture(scope="module")
def workers(guarded: Guarded) -> Iterator[list[WorkerProcess]]:
    running = [WorkerProcess(guarded.url, [TASKS], ["-c", "2"], QUICK).start() for _ in range(2)]
    yield running
    for worker in running:
        worker.stop()


@pytest.fixture
def engine(guarded: Guarded, workers: list[WorkerProcess]) -> Iterator[Engine]:
    engine = Engine(guarded.url)
    yield engine
    assert guarded.refused == []


def test_flows_run_and_are_looked_after(engine: Engine) -> None:
    engine.create_flow("all", HEAD + STEPS)
    engine.update_flow("all", description="every kind of step")
    run = engine.start_execution("all", {"items": list(range(20))})
    engine.pause_execution("all", run.name)
    engine.resume_execution("all", run.name)
    assert run.wait(40).status == "Succeeded"
    assert len(engine.get_execution_history("all", run.name)) > 60
    engine.create_flow("fails", HEAD + FAILS)
    failed = engine.start_execution("fails")
    assert failed.wait(20).status == "Failed"
    engine.redrive_execution("fails", failed.name)
    assert failed.wait(20).status == "Failed"
    stopped = engine.start_execution("all", {"items": [1]})
    engine.stop_execution("all", stopped.name)
    assert [each.name for each in engine.search_executions(Search("fails")).executions] == [
        failed.name
    ]
    assert engine.metrics().families
    engine.delete_flow("fails")


def test_schedules_versions_keys_and_the_audit_log_are_kept(engine: Engine) -> None:
    engine.create_flow("timed", HEAD + "\n- {type: pass, name: only}")
    version = engine.versions.publish("timed").version
    engine.versions.create_alias("timed", "live", [Route(version, 100)])
    engine.schedules.create("timed", "often", ScheduleChange("@every 1s"))
    wait_until(lambda: engine.schedules.describe("timed", "often").last_execution)
    engine.schedules.list("timed")
    engine.schedules.delete("timed", "often")
    key = engine.keys.create("viewer")
    assert engine.keys.find(key.id) == key
    engine.keys.delete(key.id)
    assert engine.audit.read()[0].action == "DeleteAccessKey"
    engine.delete_flow("timed")


def test_streams_run_between_processes(engine: Engine) -> None:
    engine.create_flow("stream", HEAD + stream_step("cut", "mix", "chain", more="fuse: false"))
    source = b"".join(given(COUNT, SIZE))
    call = {"count": COUNT, "size": SIZE, "place": "/tmp"}
    assert read(engine.stream("stream", call, source))
    families = {family.name: family.samples for family in engine.metrics().families}
    carried = {each.labels["flow"]: each.value for each in families["penstock_stream_bytes_total"]}
    assert carried["stream"] >= 3 * COUNT * SIZE


def test_a_killed_worker_is_replaced(
    engine: Engine, guarded: Guarded, workers: list[WorkerProcess]
) -> None:
    engine.create_flow("killed", HEAD + STEPS)
    run = engine.start_execution("killed", {"items": list(range(50))})
    os.killpg(workers[0].pid, signal.SIGKILL)
    workers[0].wait(10)
    workers[0].start()
    assert run.wait(60).status == "Succeeded"


def test_a_canvas_has_its_results_and_workers_answer_questions(engine: Engine) -> None:
    engine.create_flow("plain", HEAD + "\n- {type: pass, name: only}")
    assert engine.to_canvas("plain", {"a": 1}).apply_async().get(timeout=20) is not None
    app = engine.runtime.canvas.app
    wait_until(lambda: len(app.control.inspect(timeout=3).ping() or {}) == 2, 30)


def test_the_doctor_finds_nothing_that_it_may_not_ask(engine: Engine, guarded: Guarded) -> None:
    env = {"PENSTOCK_REDIS_URL": guarded.url}
    done = penstock("doctor", "--format", "json", cwd=Path(__file__).parent, env=env)
    assert json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["KEYS", "*"],
        ["SCAN", "0"],
        ["CONFIG", "GET", "*"],
        ["CONFIG", "SET", "maxmemory", "1"],
        ["SHUTDOWN"],
        ["DEBUG", "SLEEP", "0"],
        ["ACL", "WHOAMI"],
        ["SCRIPT", "FLUSH"],
        ["SLAVEOF", "NO", "ONE"],
        ["MONITOR"],
        ["GET", "somebody-elses"],
        ["SET", "somebody-elses", "1"],
        ["EVAL", "return redis.call('GET', KEYS[1])", "1", "somebody-elses"],
        ["PUBLISH", "somebody-elses", "news"],
    ],
)
def test_what_it_does_not_need_it_may_not_do(guarded: Guarded, command: list[str]) -> None:
    with redis.Redis.from_url(guarded.url) as user, pytest.raises(NoPermissionError):
        user.execute_command(*command)
    assert guarded.refused != []
