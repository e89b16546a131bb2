"""The audit log: who did what, to what, from where; newest first, trimmed."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from engine.config import Settings
from engine.errors import InvalidArgument
from engine.runtime.auditing import KEPT, AuditLog
from engine.runtime.engine import Engine
from engine.runtime.operators import acting
from engine.runtime.schedules import ScheduleChange
from engine.runtime.versions import Route
from tests.driven import make_runtime

LONG = "version: v1\ntype: flow\nsteps: [{type: wait, name: night, duration: 86400}]"


@pytest.fixture
def engine(redis_url: str) -> Iterator[Engine]:
    """An engine whose operator is configured."""
    made = Engine(redis_url, Settings(operator="the night shift"))
    yield made
    made.runtime.store.redis.close()


def log_of(redis: Redis) -> AuditLog:
    return AuditLog(make_runtime(redis, Settings(operator="the night shift")))


def test_entries_are_read_newest_first_and_in_pages(any_redis: Redis) -> None:
    log = log_of(any_redis)
    for number in range(5):
        log.record("StopExecution", f"flow/e-{number}", {"cause": "enough", "error": None})
    first = log.read(limit=2)
    rest = log.read(first[-1].id)
    assert [entry.subject for entry in first + rest] == [f"flow/e-{n}" for n in (4, 3, 2, 1, 0)]
    assert (first[0].detail, first[0].by) == ({"cause": "enough"}, "the night shift")
    assert log.read(rest[-1].id) == []


def test_who_acts_is_named_with_its_address_in_other_threads_too(any_redis: Redis) -> None:
    log = log_of(any_redis)
    with acting("PK7", "10.0.0.7"):
        log.record("CreateFlow", "a")
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(context.run, log.record, "CreateFlow", "b").result()
        log.record("CreateFlow", "c", by="somebody else")
    log.record("CreateFlow", "d")
    found = [(entry.subject, entry.by, entry.source) for entry in log.read()]
    assert found == [
        ("d", "the night shift", ""),
        ("c", "somebody else", "10.0.0.7"),
        ("b", "PK7", "10.0.0.7"),
        ("a", "PK7", "10.0.0.7"),
    ]


def test_the_log_is_trimmed(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        with redis.pipeline(transaction=False) as pipe:
            for _ in range(KEPT + 300):
                pipe.xadd("penstock:audit", {"action": "old"})
            pipe.execute()
        log_of(redis).record("CreateFlow", "new")
        assert KEPT <= redis.xlen("penstock:audit") < KEPT + 200


@pytest.mark.parametrize(
    ("before", "limit"),
    [
        *(("", 0), ("", 1001), ("-", 10), ("1-+", 10), ("0-0", 10)),
        *(("9" * 30 + "-0", 10), ("1-" + "9" * 30, 10), ("٣-٣", 10)),
    ],
)
def test_pages_that_are_none_are_refused(any_redis: Redis, before: str, limit: int) -> None:
    with pytest.raises(InvalidArgument):
        log_of(any_redis).read(before, limit)


def test_what_is_done_by_hand_is_written_down(engine: Engine) -> None:
    engine.create_flow("flow", LONG)
    engine.start_execution("flow", name="e-1")
    with acting("PK7", "10.0.0.7"):
        engine.pause_execution("flow", "e-1", reason="lunch")
        engine.resume_execution("flow", "e-1")
        engine.stop_execution("flow", "e-1", cause="enough")
        engine.redrive_execution("flow", "e-1", by="somebody")
    engine.versions.publish("flow")
    engine.versions.create_alias("flow", "live", [Route(1, 100)])
    engine.versions.delete_alias("flow", "live")
    engine.versions.delete("flow", 1)
    engine.schedules.create("flow", "nightly", ScheduleChange("@every 1h", payload="secret"))
    engine.schedules.update("flow", "nightly", ScheduleChange(payload="more", overlap="skip"))
    engine.schedules.trigger("flow", "nightly")
    engine.schedules.delete("flow", "nightly")
    key = engine.keys.create("viewer")
    engine.keys.delete(key.id)
    engine.delete_flow("flow")
    entries = engine.audit.read()[::-1]
    assert [entry.action for entry in entries] == [
        "CreateFlow",
        "PauseExecution",
        "ResumeExecution",
        "StopExecution",
        "RedriveExecution",
        "PublishFlowVersion",
        "CreateFlowAlias",
        "DeleteFlowAlias",
        "DeleteFlowVersion",
        "CreateSchedule",
        "UpdateSchedule",
        "TriggerSchedule",
        "DeleteSchedule",
        "CreateAccessKey",
        "DeleteAccessKey",
        "DeleteFlow",
    ]
    assert (entries[1].by, entries[1].source) == ("PK7", "10.0.0.7")
    assert (entries[1].subject, entries[1].detail) == ("flow/e-1", {"reason": "lunch"})
    assert entries[4].by == "somebody" and entries[5].by == "the night shift"
    assert entries[10].detail == {"overlap": "skip"}
    assert not any("secret" in str(entry) for entry in entries)
    events = engine.get_execution_history("flow", "e-1")
    paused = next(event for event in events if event.type == "ExecutionPaused")
    assert paused.detail["by"] == "PK7"


def test_a_deleted_flow_leaves_nothing_behind(engine: Engine) -> None:
    redis = engine.runtime.store.redis
    engine.create_flow("flow", LONG)
    engine.versions.publish("flow")
    engine.versions.create_alias("flow", "live", [Route(1, 100)])
    engine.schedules.create("flow", "nightly", ScheduleChange("@every 1h"))
    engine.delete_flow("flow")
    engine.keys.create("viewer")
    kept = {"definitions", "audit", "keys", "secret"}
    assert {str(key).removeprefix("penstock:") for key in redis.keys()} == kept  # type: ignore[union-attr]
