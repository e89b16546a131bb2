"""The commands for keys, schedules, versions, retention and the audit log."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.operators import acting
from tests.command import penstock

WAITING = "version: v1\ntype: flow\nsteps: [{type: wait, name: rest, duration: 600}]\n"
PASSING = "version: v1\ntype: flow\nsteps: [{type: pass, name: only}]\n"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def engine(server: EmbeddedRedis) -> Iterator[Engine]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    engine = Engine(server.url)
    engine.create_flow("mine", WAITING)
    yield engine
    engine.runtime.store.redis.close()


@pytest.fixture
def command(server: EmbeddedRedis, engine: Engine, tmp_path: Path) -> Command:
    """Runs `penstock` on that Redis, in a folder of its own."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        env = {"PENSTOCK_REDIS_URL": server.url, "PENSTOCK_OPERATOR": "ann"}
        return penstock(*words, cwd=tmp_path, env=env)

    return run


def said(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON of a command that has succeeded."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str], code: str = "") -> bool:
    """True for one line of complaint and exit code 2."""
    lines = done.stderr.splitlines()
    return (done.returncode, done.stdout, len(lines)) == (2, "", 1) and code in lines[0]


def test_a_key_is_shown_once_listed_without_its_secret_and_deleted(
    command: Command, engine: Engine
) -> None:
    made = said(command("keys", "create", "--role", "operator", "--name", "ci", "--format", "json"))
    stored = engine.keys.find(made["id"])
    assert stored is not None
    assert (stored.secret, stored.role, stored.name) == (made["secret"], "operator", "ci")
    listed = command("keys", "list")
    assert made["id"] in listed.stdout and made["secret"] not in listed.stdout
    assert "secret" not in said(command("keys", "list", "--format", "json"))[0]
    text = command("keys", "create", "--role", "viewer").stdout
    assert {line.split()[0] for line in text.splitlines()} == {"id", "secret", "role"}
    assert command("keys", "delete", made["id"]).returncode == 0
    assert engine.keys.find(made["id"]) is None
    assert refused(command("keys", "delete", made["id"]), "AccessKeyNotExists")
    assert command("keys", "create", "--role", "king").returncode == 2


def test_a_schedule_is_made_changed_paused_resumed_and_deleted(
    command: Command, engine: Engine
) -> None:
    words = ["schedule", "create", "mine", "nightly", "--cron", "0 30 4 * * *"]
    words += ["--time-zone", "Asia/Shanghai", "--payload", '{"a": 1}', "--overlap", "skip"]
    assert command(*words).returncode == 0
    made = engine.schedules.describe("mine", "nightly")
    assert (made.time_zone, made.payload, made.overlap) == ("Asia/Shanghai", '{"a": 1}', "skip")
    assert refused(command(*words), "ScheduleAlreadyExists")
    assert command("schedule", "update", "mine", "nightly", "--catch-up", "all").returncode == 0
    assert engine.schedules.describe("mine", "nightly").catch_up == "all"
    assert refused(command("schedule", "update", "mine", "nightly"))
    assert refused(command("schedule", "update", "mine", "nightly", "--overlap", "never"), "skip")
    assert command("schedule", "pause", "mine", "nightly").stdout == "mine/nightly: paused\n"
    assert not engine.schedules.describe("mine", "nightly").enabled
    listed = command("schedule", "list").stdout.splitlines()
    assert len(listed) == 2 and "paused" in listed[1]
    assert command("schedule", "resume", "mine", "nightly").returncode == 0
    assert engine.schedules.describe("mine", "nightly").enabled
    told = said(command("schedule", "describe", "mine", "nightly", "--format", "json"))
    assert told["next_time"] > told["created_time"]
    assert command("schedule", "delete", "mine", "nightly").returncode == 0
    assert refused(command("schedule", "describe", "mine", "nightly"), "ScheduleNotExists")


def test_a_schedule_is_triggered_and_backfilled(command: Command, engine: Engine) -> None:
    assert command("schedule", "create", "mine", "hourly", "--cron", "0 0 * * * *").returncode == 0
    triggered = command("schedule", "trigger", "mine", "hourly").stdout.strip()
    assert engine.describe_execution("mine", triggered).status == "Running"
    moments = ["--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T03:00:00Z"]
    filled = command("schedule", "backfill", "mine", "hourly", *moments).stdout.split()
    assert filled == [f"hourly-20260105T0{hour}0000Z" for hour in range(3)]
    assert command("schedule", "backfill", "mine", "hourly", *moments).stdout == ""
    assert refused(command("schedule", "backfill", "mine", "hourly", *moments[:3], "noon"), "--to")
    assert refused(command("schedule", "create", "mine", "bad", "--cron", "0 4 * * *"), "6")


def test_versions_are_published_routed_to_and_deleted(command: Command, engine: Engine) -> None:
    assert command("flow", "publish", "mine", "--description", "first").stdout == "1\n"
    engine.update_flow("mine", PASSING)
    assert command("flow", "publish", "mine").stdout == "2\n"
    versions = said(command("flow", "versions", "mine", "--format", "json"))
    assert [(each["version"], each["description"]) for each in versions] == [(2, ""), (1, "first")]
    assert command("flow", "alias", "mine", "live", "1").stdout == "mine live: 1 (100 %)\n"
    name = command("start", "mine", "--qualifier", "live").stdout.strip()
    assert engine.describe_execution("mine", name).version == 1
    assert refused(command("flow", "delete-version", "mine", "1"), "FlowVersionInUse")
    changed = command("flow", "alias", "mine", "live", "1=10", "2=90%", "--description", "canary")
    assert changed.stdout == "mine live: 1 (10 %), 2 (90 %)\n"
    assert "canary" in command("flow", "aliases", "mine").stdout
    assert refused(command("flow", "alias", "mine", "live", "1=10", "2=80"))
    assert refused(command("flow", "alias", "mine", "live", "newest"))
    assert refused(command("start", "mine", "--qualifier", "9"), "FlowVersionNotExists")
    assert command("flow", "delete-alias", "mine", "live").returncode == 0
    assert command("flow", "delete-version", "mine", "1").returncode == 0
    assert refused(command("flow", "versions", "other"), "FlowNotExists")


def test_the_retention_of_a_flow_is_set_shown_and_taken_back(
    command: Command, engine: Engine
) -> None:
    words = ["--retention", "Succeeded=1.5h", "--retention", "Failed=30d"]
    text = command("flow", "update", "mine", *words).stdout
    assert "Succeeded=90m Failed=30d" in text
    assert engine.describe_flow("mine").retention == {"Succeeded": 5400, "Failed": 30 * 86_400}
    assert command("flow", "update", "mine", "--retention", "none").returncode == 0
    assert engine.describe_flow("mine").retention == {}
    for wrong in ("Succeeded", "Succeeded=1", "Succeeded=h", "Running=1h", "none=1h"):
        assert refused(command("flow", "update", "mine", "--retention", wrong), "retention")


def test_the_audit_log_tells_who_did_what_newest_first(command: Command, engine: Engine) -> None:
    engine.start_execution("mine", name="e-1")
    assert command("stop", "mine", "e-1", "--error", "Enough").returncode == 0
    with acting("PK1", "10.0.0.7"):
        engine.delete_flow("mine")
    entries = said(command("audit", "--format", "json"))
    told = [(each["action"], each["subject"], each["by"], each["source"]) for each in entries[:2]]
    assert told == [
        ("DeleteFlow", "mine", "PK1", "10.0.0.7"),
        ("StopExecution", "mine/e-1", "ann", ""),
    ]
    before = said(
        command("audit", "--before", entries[0]["id"], "--limit", "1", "--format", "json")
    )
    assert before == entries[1:2]
    assert "10.0.0.7" in command("audit").stdout
    assert refused(command("audit", "--before", "yesterday"))
    assert refused(command("audit", "--limit", "100000"), "1000")


def test_an_execution_is_exported_and_replayed_by_its_own_and_by_another_flow(
    command: Command, engine: Engine, tmp_path: Path
) -> None:
    engine.start_execution("mine", {"password": "opensesame"}, "e-1")
    engine.stop_execution("mine", "e-1", "Enough", "of it")
    done = command("export", "mine", "e-1")
    assert done.returncode == 0 and "opensesame" not in done.stdout
    (tmp_path / "bundle.json").write_text(done.stdout)
    same = command("simulate", "--bundle", "bundle.json")
    assert said(same)["differences"] == [] and said(same)["status"] == "Stopped"
    assert same.stderr.startswith("penstock: the same as recorded")
    (tmp_path / "other.yml").write_text(PASSING)
    other = command("simulate", "other.yml", "--bundle", "bundle.json")
    assert other.returncode == 1
    assert json.loads(other.stdout)["status"] == "Succeeded"
    assert "status: it was Stopped, the replay has Succeeded" in other.stderr
    assert refused(command("export", "mine", "e-2"), "ExecutionNotExists")
    assert refused(command("simulate"), "FLOW.yml")
    assert refused(command("simulate", "--bundle", "other.yml"), "other.yml")
    assert refused(command("simulate", "--bundle", "bundle.json", "--seed", "1"), "--bundle")
