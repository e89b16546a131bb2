"""Metrics: each family moves when its thing happens, and by as much."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from redis import Redis

from engine.core.events import EventType, NewEvent
from engine.runtime.engine import Engine
from engine.runtime.metrics import BOUNDS_MS, Metrics, metrics_of
from engine.runtime.pausing import pause, resume
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.schedules import ScheduleChange, Schedules
from engine.runtime.sending import again
from tests.driving import Driver
from tests.unit.test_store_figures import (
    EACH,
    ITEMS,
    TASK,
    at_task,
    claimed,
    driver_of,
    next_message,
)

FAIL = {"type": "fail", "name": "no", "error": "E"}
NIGHT = {"type": "wait", "name": "night", "duration": 86400}
FLAKY = {
    "type": "task",
    "name": "busy",
    "resourceArn": "flaky",
    "retry": [{"errors": ["Test.Busy"], "intervalSeconds": 0, "maxAttempts": 3}],
}


def value(driver: Driver, name: str, suffix: str = "", **labels: str) -> float:
    """The sample of a name and labels; 0 where there is none yet."""
    return read(metrics_of(driver.runtime), name, suffix, labels)


def read(found: Metrics, name: str, suffix: str, labels: dict[str, str]) -> float:
    families = {family.name: family for family in found.families}
    samples = families[f"penstock_{name}"].samples
    same = [each.value for each in samples if each.labels == labels and each.suffix == suffix]
    assert len(same) <= 1
    return same[0] if same else 0.0


def flow_value(driver: Driver, name: str, **labels: str) -> float:
    return value(driver, name, flow="flow", **labels)


@pytest.mark.parametrize(("step", "status"), [(TASK, "Succeeded"), (FAIL, "Failed")])
def test_executions_are_counted_by_flow_and_status(
    any_redis: Redis, step: Any, status: str
) -> None:
    driver = driver_of(any_redis, step)
    assert flow_value(driver, "executions_started_total") == 1
    assert flow_value(driver, "executions_running") == 1
    driver.drive()
    assert flow_value(driver, "executions_ended_total", status=status) == 1
    assert flow_value(driver, "executions_running") == 0
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": [NIGHT]}), "other")
    driver.start(flow="other")
    assert value(driver, "executions_started_total", flow="other") == 1
    assert flow_value(driver, "executions_started_total") == 1


def test_a_call_that_is_repeated_counts_once(any_redis: Redis) -> None:
    driver = driver_of(any_redis, TASK)
    driver.scripts.again("start")
    driver.start(ITEMS)
    driver.drive()
    for verb in ("claim", "settle", "finish"):
        driver.scripts.again(verb)
    assert flow_value(driver, "executions_started_total") == 1
    assert flow_value(driver, "executions_ended_total", status="Succeeded") == 1
    assert flow_value(driver, "tasks_total") == 1


def test_a_redriven_execution_runs_again_and_ends_again(any_redis: Redis) -> None:
    driver = driver_of(any_redis, FAIL)
    driver.drive()
    redrive(driver.runtime, Redrive("flow", "e-1"))
    assert flow_value(driver, "executions_redriven_total") == 1
    assert flow_value(driver, "executions_running") == 1
    driver.drive()
    assert flow_value(driver, "executions_ended_total", status="Failed") == 2
    assert flow_value(driver, "executions_running") == 0


def test_paused_executions_are_counted_until_they_go_on_or_are_stopped(any_redis: Redis) -> None:
    driver = driver_of(any_redis, NIGHT)
    driver.start(name="e-2")
    for name in ("e-1", "e-2"):
        pause(driver.runtime, "flow", name, False, {"by": "somebody"})
        pause(driver.runtime, "flow", name, False, {"by": "somebody"})
    assert flow_value(driver, "executions_paused") == 2
    resume(driver.runtime, "flow", "e-1", {"by": "somebody"})
    resume(driver.runtime, "flow", "e-1", {"by": "somebody"})
    assert flow_value(driver, "executions_paused") == 1
    driver.stop("e-2")
    assert flow_value(driver, "executions_paused") == 0
    assert flow_value(driver, "executions_ended_total", status="Stopped") == 1


def test_a_task_is_counted_with_its_time_and_how_long_it_waited(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    driver.pass_time(2)
    claim = claimed(driver, message)
    assert value(driver, "task_wait_seconds", "_count") == 1
    assert value(driver, "task_wait_seconds", "_bucket", le="1") == 0
    assert value(driver, "task_wait_seconds", "_bucket", le="2.5") == 1
    driver.pass_time(1)
    _age_claims(driver, 700)
    driver.store.settle(claim, claim.frame, [], again(driver.runtime, message.pointer))
    assert flow_value(driver, "tasks_total") == 1
    assert value(driver, "task_seconds", "_bucket", le="0.5") == 0
    assert value(driver, "task_seconds", "_bucket", le="+Inf") == 1
    spent_s = value(driver, "task_seconds", "_sum")
    assert 0.7 <= spent_s < 10
    assert flow_value(driver, "tasks_busy_seconds_total") == spent_s


def _age_claims(driver: Driver, past_ms: int) -> None:
    """Makes the claims of the execution that much older."""
    key = driver.store.keys.states("flow:e-1")
    stored: Any = driver.redis.hgetall(key)
    for frame, text in stored.items():
        state = json.loads(text)
        driver.redis.hset(key, frame, json.dumps(state | {"at": state["at"] - past_ms}))


def test_items_of_a_batch_are_counted_each(any_redis: Redis) -> None:
    driver = driver_of(any_redis, EACH)
    driver.drive()
    assert flow_value(driver, "tasks_total") == len(ITEMS["items"])
    assert value(driver, "task_seconds", "_count") == len(ITEMS["items"])


@pytest.mark.parametrize(
    ("steps", "tasks", "retries"),
    [
        ([EACH | {"steps": [FLAKY]}], 2 * len(ITEMS["items"]), len(ITEMS["items"])),
        ([EACH | {"steps": [TASK, FLAKY]}], 3 * len(ITEMS["items"]), len(ITEMS["items"])),
        ([FLAKY, EACH], 2 + len(ITEMS["items"]), 1),
        ([{"type": "parallel", "name": "both", "branches": [{"steps": [TASK]}] * 2}], 2, 0),
    ],
)
def test_each_attempt_counts_once_wherever_it_stands(
    any_redis: Redis, steps: Any, tasks: int, retries: int
) -> None:
    driver = driver_of(any_redis, *steps)
    driver.drive()
    assert flow_value(driver, "tasks_total") == tasks
    assert flow_value(driver, "task_retries_total") == retries


def test_steps_without_a_task_count_none(any_redis: Redis) -> None:
    each = EACH | {"steps": [{"type": "pass", "name": "nothing"}]}
    driver = driver_of(any_redis, NIGHT, each)
    driver.drive()
    assert flow_value(driver, "tasks_total") == 0


def test_a_retry_is_counted_when_it_begins(any_redis: Redis) -> None:
    driver = driver_of(any_redis, FLAKY)
    driver.drive()
    assert flow_value(driver, "task_retries_total") == 1
    assert flow_value(driver, "tasks_total") == 2


def test_what_was_absorbed_is_counted(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claimed(driver, message)
    driver.deliver(message)
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    driver.drive()
    assert value(driver, "duplicates_absorbed_total") == 1
    assert value(driver, "handovers_total") == 1
    assert value(driver, "stale_refused_total") == value(driver, "redispatches_total") == 0


def test_a_stream_is_counted_with_the_bytes_and_stalls_of_its_edges(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim = claimed(driver, message)
    edges = [{"bytes": 3_000_000_000, "blocked_s": 0.25}, {"bytes": 7, "blocked_s": 1.5}]
    closed = NewEvent(EventType.STREAM_CLOSED, "weigh", {"edges": edges})
    driver.store.settle(claim, claim.frame, [closed], again(driver.runtime, message.pointer))
    driver.scripts.again("settle")
    assert flow_value(driver, "streams_total") == 1
    assert flow_value(driver, "stream_bytes_total") == 3_000_000_007
    assert flow_value(driver, "stream_blocked_seconds_total") == 1.75


def test_a_queue_tells_its_length_and_how_old_its_oldest_message_is(any_redis: Redis) -> None:
    driver = driver_of(any_redis, TASK)
    assert value(driver, "queue_messages", queue="penstock") == 1
    driver.pass_time(50)
    driver.start(name="e-2")
    assert value(driver, "queue_messages", queue="penstock") == 2
    assert 50 <= value(driver, "queue_oldest_seconds", queue="penstock") < 60
    for message in driver.collect()[:]:
        claimed(driver, message)
    assert value(driver, "queue_messages", queue="penstock") == 0
    assert value(driver, "queue_oldest_seconds", queue="penstock") == 0


def test_a_queue_whose_workers_are_gone_is_still_told(any_redis: Redis) -> None:
    driver = driver_of(any_redis, TASK)
    driver.redis.hset(driver.store.keys.figures, "claimed:gpu", "1")
    driver.redis.lpush("gpu", "what somebody else has put there", "{}")
    assert value(driver, "queue_messages", queue="gpu") == 2
    found = {family.name: family for family in metrics_of(driver.runtime).families}
    assert [sample.labels for sample in found["penstock_queue_oldest_seconds"].samples] == [
        {"queue": "penstock"}
    ]


def test_a_lane_at_the_head_of_a_queue_tells_its_age(any_redis: Redis) -> None:
    driver = driver_of(any_redis, EACH)
    driver.step()
    message = next_message(driver)
    assert message.pointer.kind == "lane"
    past = re.sub(
        r"(\.\d+\.)(\d+)\"", lambda found: f'{found[1]}{int(found[2]) - 9000}"', message.text
    )
    driver.redis.lpush("penstock", past)
    assert 9 <= value(driver, "queue_oldest_seconds", queue="penstock") < 20


def test_capacity_is_the_slots_there_are_and_those_there_is_work_for(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claimed(driver, message)
    for number in range(3):
        driver.start(name=f"more-{number}")
    assert value(driver, "workers") == 1
    assert (value(driver, "slots"), value(driver, "slots_busy")) == (2, 1)
    assert value(driver, "slots_wanted") == 4
    assert value(driver, "saturation") == 2
    driver.runtime.fleet.leave("w1")
    assert (value(driver, "slots"), value(driver, "saturation")) == (0, 4)


def test_clocks_that_nobody_looks_after_are_overdue(any_redis: Redis) -> None:
    driver = driver_of(any_redis, NIGHT)
    driver.step()
    schedules = Schedules(driver.runtime)
    schedules.create("flow", "nightly", ScheduleChange("@every 60s"))
    assert (value(driver, "timers"), value(driver, "schedules")) == (1, 1)
    assert value(driver, "timers_overdue_seconds") == 0
    driver.pass_time(86_500)
    assert 95 <= value(driver, "timers_overdue_seconds") < 120
    assert value(driver, "schedules_overdue_seconds") > 86_000
    driver.sweep()
    assert value(driver, "timers_overdue_seconds") == 0
    assert value(driver, "schedules_overdue_seconds") == 0


def fill_counters(driver: Driver) -> None:
    many = {f"tasks|flow-{number}": 1 for number in range(20_000)}
    driver.store.redis.hset(driver.store.keys.figures, mapping=many)


def test_what_has_begun_under_a_label_ends_under_it(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = driver_of(redis, FAIL)
        fill_counters(driver)
        driver.drive()
        assert flow_value(driver, "executions_ended_total", status="Failed") == 1
        driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": [NIGHT]}), "late")
        driver.start(flow="late")
        assert value(driver, "executions_running", flow="*") == 1
        driver.store.redis.delete(driver.store.keys.figures)
        driver.start(name="e-2", flow="late")
        driver.stop("e-1", "late")
        assert value(driver, "executions_running", flow="late") == 1


def test_the_counters_of_a_deleted_flow_go_unless_it_still_runs(redis_url: str) -> None:
    engine = Engine(redis_url)
    text = json.dumps({"version": "v1", "type": "flow", "steps": [NIGHT]})
    for name in ("gone", "stays"):
        engine.create_flow(name, text)
        engine.start_execution(name, name="e-1")
    engine.stop_execution("gone", "e-1")
    for name in ("gone", "stays"):
        engine.delete_flow(name)
    stored: Any = engine.runtime.store.redis.hkeys(engine.runtime.store.keys.figures)
    assert [name for name in stored if name.endswith(("|gone", "|stays"))] == ["started|stays"]
    assert read(engine.metrics(), "executions_running", "", {"flow": "stays"}) == 1
    engine.runtime.store.redis.close()


def test_more_flows_than_are_told_apart_share_a_label(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = driver_of(redis, NIGHT)
        fill_counters(driver)
        driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": [NIGHT]}), "late")
        driver.start(flow="late")
        driver.start(name="e-2")
        assert value(driver, "executions_started_total", flow="*") == 1
        assert value(driver, "executions_started_total", flow="late") == 0
        assert flow_value(driver, "executions_started_total") == 2


def test_the_scripts_and_the_reader_have_the_same_buckets() -> None:
    text = (files("engine.runtime") / "lua" / "_tallies.lua").read_text()
    (bounds,) = re.findall(r"BOUNDS_MS = {(.*)}", text)
    assert tuple(map(int, bounds.split(","))) == BOUNDS_MS


def test_every_name_is_one_that_prometheus_takes_and_is_there_once(any_redis: Redis) -> None:
    found = metrics_of(driver_of(any_redis, TASK).runtime)
    names = [family.name for family in found.families]
    assert len(set(names)) == len(names)
    for family in found.families:
        assert re.fullmatch(r"penstock_[a-z_]+[a-z]", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
