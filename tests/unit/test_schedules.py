"""Schedules: made, changed and fired, each fire time once, by whomever and however late."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from engine.core.states import ExecutionStatus
from engine.errors import (
    ConcurrentUpdateError,
    EntityTooLarge,
    ExecutionNotExists,
    FlowNotExists,
    InvalidArgument,
    ScheduleAlreadyExists,
    ScheduleNotExists,
)
from engine.runtime.firing import AT_ONCE, Firing
from engine.runtime.schedules import Schedule, ScheduleChange, Schedules
from engine.runtime.searching import Search, search_all
from tests.driving import Driver, Trouble

HEAD = "version: v1\ntype: flow\nsteps: "
PASS = HEAD + "[{type: pass, name: only}]"
LONG = HEAD + "[{type: wait, name: night, duration: 86400}]"
EVERY_MINUTE = ScheduleChange("@every 60s")

AGAIN_S = 61
"""After so long a fire time has passed; the names of executions, which do not age, still differ."""


def made(redis: Redis, wanted: ScheduleChange, flow: str = LONG) -> tuple[Driver, Schedules]:
    driver = Driver(redis, {})
    driver.deploy(flow)
    schedules = Schedules(driver.runtime)
    schedules.create("flow", "nightly", wanted)
    return driver, schedules


def started(driver: Driver) -> list[str]:
    """Names of the executions, the oldest fire time first."""
    found = search_all(driver.runtime, Search("flow"), None)
    return sorted(execution.name for execution in found)


def described(schedules: Schedules) -> Schedule:
    return schedules.describe("flow", "nightly")


def seconds_of(name: str) -> float:
    """The fire time that an execution's name tells."""
    moment = datetime.strptime(name.removeprefix("nightly-"), "%Y%m%dT%H%M%SZ")
    return moment.replace(tzinfo=UTC).timestamp()


def test_a_schedule_fires_when_its_time_has_come_and_not_before(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    driver.sweep()
    assert started(driver) == []
    driver.pass_time(60)
    fire = described(schedules).next_time
    driver.sweep()
    assert [seconds_of(name) for name in started(driver)] == [fire]
    after = described(schedules)
    assert (after.last_time, after.next_time) == (fire, (fire or 0) + 60)
    assert after.last_execution == started(driver)[0]
    driver.sweep()
    assert len(started(driver)) == 1


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"kind": "full"}', {"kind": "full"}),
        *((text, text) for text in ("plain", "", "[" * 100_000)),
    ],
)
def test_an_execution_gets_the_payload_and_what_triggered_it(
    any_redis: Redis, payload: str, expected: Any
) -> None:
    driver, _ = made(any_redis, ScheduleChange("@every 60s", payload=payload))
    driver.pass_time(60)
    driver.sweep()
    (name,) = started(driver)
    assert driver.describe(name).input == {
        "payload": expected,
        "triggerTime": datetime.fromtimestamp(seconds_of(name), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "triggerName": "nightly",
    }


def test_many_sweepers_start_one_execution_per_fire_time(redis_url: str) -> None:
    def race(_: int) -> int:
        """How many starts one of them has tried."""
        with Redis.from_url(redis_url, decode_responses=True) as own:
            racer = Driver(own, {})
            for _ in range(5):
                Firing(racer.runtime).fire("flow/nightly")
            return racer.scripts.calls["start"]

    with Redis.from_url(redis_url, decode_responses=True) as redis:
        wanted = ScheduleChange("@every 1s", catch_up="all", catch_up_limit=1000)
        driver, schedules = made(redis, wanted, PASS)
        driver.pass_time(40)
        with ThreadPoolExecutor(8) as pool:
            tried = sum(pool.map(race, range(8)))
        assert tried > len(started(driver))
        # Who loses a race leaves at once: what they have all left is done in peace.
        while (described(schedules).next_time or 0) * 1000 <= driver.now_ms():
            driver.sweep()
        names = started(driver)
        fires = [seconds_of(name) for name in names]
        assert fires == [fires[0] + second for second in range(len(fires))]
        assert len(names) >= 40
        begun = [driver.history(name)[0].type for name in names]
        assert begun == ["ExecutionStarted"] * len(names)
        messages = [message.pointer.execution for message in driver.collect()]
        assert sorted(messages) == names
        assert described(schedules).last_execution == names[-1]


def test_a_sweeper_that_dies_anywhere_leaves_the_fire_to_others(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, ScheduleChange("@every 60s", overlap="stop-previous"))
    for number in range(1, 13):
        driver.pass_time(AGAIN_S)
        driver.trouble = Trouble(death=0.2)
        for _ in range(10):
            driver.sweep()
            due = round((described(schedules).next_time or 0) * 1000)
            driver.redis.zadd(driver.store.keys.fires, {"flow/nightly": due})
        driver.trouble = Trouble()
        driver.sweep()
        assert len(started(driver)) == number
    assert driver.deaths > 5


def test_a_start_whose_reply_was_lost_is_one_start(any_redis: Redis) -> None:
    driver, _ = made(any_redis, EVERY_MINUTE)
    driver.pass_time(60)
    driver.sweep()
    assert driver.scripts.again("start").applied
    assert driver.scripts.again("start", call="another").verdict == "STALE"
    assert len(started(driver)) == 1


def test_a_fire_time_is_not_started_again_when_its_execution_has_expired(any_redis: Redis) -> None:
    driver, _ = made(any_redis, EVERY_MINUTE)
    driver.pass_time(60)
    driver.sweep()
    (name,) = started(driver)
    driver.redis.delete(driver.store.keys.record(f"flow:{name}"))
    assert driver.scripts.again("start", call="another").verdict == "STALE"
    assert started(driver) == []


@pytest.mark.parametrize(("policy", "expected"), [("skip", 0), ("last", 1), ("all", 5)])
def test_what_was_missed_is_caught_up_by_the_policy(
    any_redis: Redis, policy: Any, expected: int
) -> None:
    wanted = ScheduleChange("@every 60s", catch_up=policy, catch_up_limit=5)
    driver, schedules = made(any_redis, wanted)
    driver.pass_time(10 * 60 + 30)
    driver.sweep()
    names = started(driver)
    assert len(names) == expected
    last_missed = (described(schedules).next_time or 0) - 60
    fires = [last_missed - 60 * behind for behind in reversed(range(expected))]
    assert [seconds_of(name) for name in names] == fires


def test_many_that_were_missed_are_caught_up_in_several_looks(any_redis: Redis) -> None:
    wanted = ScheduleChange("@every 60s", catch_up="all", catch_up_limit=50)
    driver, _ = made(any_redis, wanted, PASS)
    driver.pass_time(60 * 60 + 30)
    Firing(driver.runtime).fire("flow/nightly")
    assert len(started(driver)) == AT_ONCE
    for _ in range(3):
        driver.sweep()
    assert len(started(driver)) == 50


def test_years_of_missed_seconds_cost_no_more_than_one(any_redis: Redis) -> None:
    driver, _ = made(any_redis, ScheduleChange("* * * * * *"))
    driver.pass_time(3 * 365 * 86_400)
    driver.sweep()
    assert 10 <= len(started(driver)) <= AT_ONCE


@pytest.mark.parametrize(
    ("overlap", "statuses", "skipped"),
    [
        ("allow", ["Running", "Running"], 0),
        ("skip", ["Running"], 1),
        ("stop-previous", ["Stopped", "Running"], 0),
    ],
)
def test_a_fire_while_the_one_before_still_runs_goes_by_the_policy(
    any_redis: Redis, overlap: Any, statuses: list[str], skipped: int
) -> None:
    driver, schedules = made(any_redis, ScheduleChange("@every 60s", overlap=overlap))
    for _ in range(2):
        driver.pass_time(AGAIN_S)
        driver.sweep()
    names = started(driver)[::-1]
    assert [driver.describe(name).status for name in names] == statuses
    assert described(schedules).skipped == skipped
    if overlap == "stop-previous":
        first = driver.describe(names[0])
        assert (first.error, first.status) == ("FnF.Overlap", ExecutionStatus.STOPPED)


def test_a_fire_after_the_one_before_has_ended_is_not_left_out(any_redis: Redis) -> None:
    driver, _ = made(any_redis, ScheduleChange("@every 60s", overlap="skip"), PASS)
    for _ in range(2):
        driver.pass_time(AGAIN_S)
        driver.sweep()
        driver.drive(started(driver)[0])
    assert len(started(driver)) == 2


def test_a_paused_schedule_stands_still_and_goes_on_from_when_it_is_enabled(
    any_redis: Redis,
) -> None:
    driver, schedules = made(any_redis, ScheduleChange("@every 60s", catch_up="all"))
    schedules.update("flow", "nightly", ScheduleChange(enabled=False))
    driver.pass_time(600)
    driver.sweep()
    assert (started(driver), described(schedules).next_time) == ([], None)
    schedules.update("flow", "nightly", ScheduleChange(enabled=True))
    driver.sweep()
    assert started(driver) == []
    driver.pass_time(60)
    driver.sweep()
    assert len(started(driver)) == 1


def test_a_change_of_other_things_leaves_the_times_alone(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    driver.pass_time(30)
    before = described(schedules)
    schedules.update("flow", "nightly", ScheduleChange(payload="{}", description="every minute"))
    after = described(schedules)
    assert (after.next_time, after.anchor) == (before.next_time, before.anchor)
    assert (after.payload, after.description, after.id) == ("{}", "every minute", before.id)
    schedules.update("flow", "nightly", ScheduleChange("@every 10m"))
    assert (described(schedules).next_time or 0) > (before.next_time or 0)


def test_a_deleted_schedule_fires_no_more(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    schedules.delete("flow", "nightly")
    assert not driver.redis.keys("*schedules*") and not driver.redis.exists(driver.store.keys.fires)
    with pytest.raises(ScheduleNotExists):
        schedules.delete("flow", "nightly")


def test_triggering_starts_one_more_and_leaves_the_schedule_alone(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    before = described(schedules)
    names = {schedules.trigger("flow", "nightly") for _ in range(3)}
    assert set(started(driver)) == names and len(names) == 3
    assert described(schedules) == before
    assert driver.describe(names.pop()).input["triggerName"] == "nightly"


def test_a_backfill_starts_what_has_not_been_started(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, ScheduleChange("@every 60s", catch_up="skip"))
    driver.pass_time(60)
    driver.sweep()
    (own,) = started(driver)
    fire = seconds_of(own)
    driver.pass_time(1)
    filled = schedules.backfill("flow", "nightly", fire - 181, fire - 1 + 0.5)
    assert [seconds_of(name) for name in filled] == [fire - 181, fire - 121, fire - 61, fire - 1]
    assert schedules.backfill("flow", "nightly", fire - 181, fire - 1) == []
    assert len(started(driver)) == 5


def test_a_fire_that_was_backfilled_is_not_started_again(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE, PASS)
    driver.pass_time(AGAIN_S)
    fire = described(schedules).next_time or 0
    filled = schedules.backfill("flow", "nightly", fire, fire + 0.1)
    driver.drive(filled[0])
    driver.sweep()
    assert started(driver) == filled
    assert described(schedules).next_time == fire + 60


@pytest.mark.parametrize(("ago_s", "length_s"), [(10, 100), (-10, 5), (90_000, 89_000), (10, -5)])
def test_a_backfill_of_the_future_or_of_too_much_is_refused(
    any_redis: Redis, ago_s: int, length_s: int
) -> None:
    driver, schedules = made(any_redis, ScheduleChange("@every 1s"))
    start = driver.now_ms() / 1000 - ago_s
    with pytest.raises(InvalidArgument, match="backfill"):
        schedules.backfill("flow", "nightly", start, start + length_s)
    assert started(driver) == []


@pytest.mark.parametrize("moment", [math.nan, math.inf, -math.inf, -1e18, -1.0, 10**400])
def test_a_backfill_from_what_is_no_time_is_refused(any_redis: Redis, moment: Any) -> None:
    schedules = made(any_redis, EVERY_MINUTE)[1]
    for start, end in ((moment, 1e9), (1e9, moment), (moment, moment)):
        with pytest.raises(InvalidArgument, match="backfill"):
            schedules.backfill("flow", "nightly", start, end)


def test_schedules_are_listed_by_name_of_one_flow_or_of_all(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    for flow, name in (("flow", "daily"), ("flow-2", "hourly"), ("a", "b")):
        if flow != "flow":
            driver.deploy(PASS, flow)
        schedules.create(flow, name, EVERY_MINUTE)
    assert [each.name for each in schedules.list("flow")] == ["daily", "nightly"]
    assert [each.name for each in schedules.list()] == ["b", "hourly", "daily", "nightly"]
    schedules.forget("flow")
    assert [each.name for each in schedules.list()] == ["b", "hourly"]


def test_a_schedule_whose_flow_is_gone_says_so_and_goes_on(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    driver.runtime.definitions.delete("flow")
    driver.pass_time(60)
    fire = described(schedules).next_time or 0
    driver.sweep()
    after = described(schedules)
    assert after.last_error.startswith("FlowNotExists") and after.next_time == fire + 60
    driver.deploy(LONG)
    driver.pass_time(60)
    driver.sweep()
    assert len(started(driver)) == 1 and described(schedules).last_error == ""


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("1st", EVERY_MINUTE),
        ("a/b", EVERY_MINUTE),
        ("x" * 101, EVERY_MINUTE),
        ("n", ScheduleChange()),
        ("n", ScheduleChange("0 4 * * *")),
        ("n", ScheduleChange("@every 60s", time_zone="Mars")),
        ("n", ScheduleChange("@every 60s", catch_up="never")),  # type: ignore[arg-type]
        ("n", ScheduleChange("@every 60s", overlap="never")),  # type: ignore[arg-type]
        ("n", ScheduleChange("@every 60s", catch_up_limit=0)),
    ],
)
def test_what_is_no_schedule_is_refused(
    any_redis: Redis, name: str, wanted: ScheduleChange
) -> None:
    _, schedules = made(any_redis, EVERY_MINUTE)
    if wanted.time_zone:
        wanted = ScheduleChange("0 0 4 * * *", time_zone=wanted.time_zone)
    with pytest.raises(InvalidArgument):
        schedules.create("flow", name, wanted)
    assert len(schedules.list()) == 1


def test_a_payload_over_the_limit_is_refused(any_redis: Redis) -> None:
    _, schedules = made(any_redis, EVERY_MINUTE)
    huge = json.dumps("x" * 17_000_000)
    with pytest.raises(EntityTooLarge):
        schedules.update("flow", "nightly", ScheduleChange(payload=huge))


def test_what_is_not_there_or_there_already_is_told(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    with pytest.raises(ScheduleAlreadyExists):
        schedules.create("flow", "nightly", EVERY_MINUTE)
    with pytest.raises(ScheduleNotExists):
        schedules.update("flow", "daily", EVERY_MINUTE)
    with pytest.raises(ScheduleNotExists):
        schedules.trigger("flow", "daily")
    with pytest.raises(FlowNotExists):
        schedules.create("other", "nightly", EVERY_MINUTE)
    with pytest.raises(ExecutionNotExists):
        driver.describe("nightly")


def test_a_change_of_what_somebody_else_has_changed_is_refused(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    schedules.update("flow", "nightly", ScheduleChange(description="one"))
    answer = driver.scripts.again("schedule", call="another", fields={"config": "{}"})
    assert answer.verdict == "MOVED"
    assert described(schedules).description == "one"


def test_the_lost_reply_of_a_change_is_no_conflict(any_redis: Redis) -> None:
    driver, schedules = made(any_redis, EVERY_MINUTE)
    assert driver.scripts.again("schedule").applied
    schedules.update("flow", "nightly", ScheduleChange(description="one"))
    assert driver.scripts.again("schedule").applied
    assert ConcurrentUpdateError("").http_status == 409
