"""Map runs: a foreach's counts while it runs and afterwards, and what tuning it changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from engine.core.states import ExecutionStatus
from engine.errors import (
    ExecutionAlreadyCompleted,
    ExecutionNotExists,
    InvalidArgument,
    MapRunNotExists,
)
from engine.runtime.map_runs import MapRun, MapRuns
from engine.runtime.pausing import pause
from tests.driving import Driver

BAD = {"x"}
OUTER = {"collection": "$.items", "item": "item"}


def work(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    if input["item"] in BAD:
        raise ValueError("a bad one")
    return {}


def driver_of(redis: Redis, items: str, last: bool = True, **fields: Any) -> Driver:
    """An execution whose foreach is open, an item a message; nothing of it has been delivered."""
    step = {
        "type": "foreach",
        "name": "each",
        "iterationMapping": OUTER,
        "steps": [{"type": "task", "name": "work", "resourceArn": "work"}],
        "concurrency": 2,
        "batch": 1,
    }
    steps: list[dict[str, Any]] = [step | fields]
    if not last:
        steps.append({"type": "wait", "name": "night", "duration": 86400})
    driver = Driver(redis, {"work": work}, slots=8)
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": steps}))
    driver.start({"items": list(items)})
    driver.step()
    return driver


def counts(run: MapRun) -> dict[str, int]:
    named = ("total", "pending", "running", "succeeded", "failed", "aborted")
    return {name: getattr(run, name) for name in named if getattr(run, name)}


def described(driver: Driver) -> MapRun:
    return MapRuns(driver.runtime).describe("flow", "e-1", "each")


def lanes(driver: Driver) -> int:
    return len(driver.collect())


def test_counts_follow_the_items(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "abxcde", toleratedFailures=3)
    assert counts(described(driver)) == {"total": 6, "pending": 6}
    assert (described(driver).status, described(driver).concurrency) == ("Running", 2)
    message = driver.collect()[0]
    batch = driver.store.lane(message.pointer, driver.holder_of(message), 1, 8)
    assert counts(described(driver)) == {"total": 6, "pending": 5, "running": 1}
    assert not isinstance(batch, str)
    driver.pass_time(5)
    driver.sweep()
    end = driver.drive()
    assert end.status == "Succeeded"
    after = described(driver)
    assert counts(after) == {"total": 6, "succeeded": 5, "failed": 1}
    assert after.status is ExecutionStatus.SUCCEEDED and after.tolerated_failed_count == 3
    assert after.started_time and after.stopped_time and after.started_time <= after.stopped_time


def test_a_failure_that_was_one_too_many_is_counted_once(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "axbcdefg")
    assert driver.drive().status == "Failed"
    after = described(driver)
    assert (after.status, after.failed, after.tolerated_failed_count) == ("Failed", 1, None)
    assert after.succeeded + after.failed + after.aborted == after.total == 8


def test_what_a_stop_has_cut_off_is_aborted(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "abcd")
    driver.stop()
    after = described(driver)
    assert after.status is ExecutionStatus.STOPPED
    assert counts(after) == {"total": 4, "aborted": 4}


def test_a_higher_concurrency_sends_lanes_at_once(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "abcdefgh")
    before = lanes(driver)
    tuned = MapRuns(driver.runtime).update("flow", "e-1", "each", concurrency=5)
    assert (before, lanes(driver), tuned.concurrency) == (2, 5, 5)
    assert driver.drive().status == "Succeeded"


def test_a_lower_concurrency_lets_no_more_than_that_begin(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "abcdefgh", concurrency=6)
    MapRuns(driver.runtime).update("flow", "e-1", "each", concurrency=1)
    messages = list(driver.collect())
    taken = [driver.store.lane(m.pointer, driver.holder_of(m), 1, 8) for m in messages]
    assert [str(each) for each in taken[1:]] == ["EMPTY"] * (len(messages) - 1)
    driver.hand.clear()
    driver.pass_time(5)
    driver.sweep()
    assert driver.drive().status == "Succeeded"


def test_more_tolerated_failures_save_an_execution(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "axbx", last=False)
    MapRuns(driver.runtime).update("flow", "e-1", "each", tolerated_failed_percentage=50)
    while driver.step():
        pass
    assert described(driver).status is ExecutionStatus.SUCCEEDED
    assert counts(described(driver)) == {"total": 4, "succeeded": 2, "failed": 2}


def test_fewer_tolerated_failures_than_there_are_fail_the_step_at_once(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "xxbcdefgh", toleratedFailures=5, concurrency=1)
    for _ in range(2):
        driver.step()
    assert described(driver).failed == 2
    runs = MapRuns(driver.runtime)
    tuned = runs.update("flow", "e-1", "each", tolerated_failed_count=1)
    assert driver.scripts.again("tune").applied
    assert tuned.status is ExecutionStatus.FAILED
    assert counts(tuned)["failed"] == 2 and tuned.succeeded == 0
    end = driver.drive()
    assert (end.status, end.error) == ("Failed", "FnF.ToleranceExceeded")
    assert "2 items have failed; 1 are tolerated" in (end.cause or "")


def test_a_paused_foreach_is_tuned_without_waking_it(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "abcdefgh")
    pause(driver.runtime, "flow", "e-1", False, {"by": "test"})
    before = lanes(driver)
    tuned = MapRuns(driver.runtime).update("flow", "e-1", "each", concurrency=7)
    assert (lanes(driver), tuned.concurrency, tuned.status) == (before, 7, "Paused")


def test_a_nested_foreach_has_the_name_of_its_frame(any_redis: Redis) -> None:
    inner = {
        "type": "foreach",
        "name": "sizes",
        "iterationMapping": {"collection": "$.sizes", "item": "size"},
        "steps": [{"type": "wait", "name": "night", "duration": 86400}],
    }
    driver = Driver(any_redis, {})
    outer = {"type": "foreach", "name": "each", "iterationMapping": OUTER, "steps": [inner]}
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": [outer]}))
    driver.start({"items": [1, 2], "sizes": [1, 2, 3]})
    while driver.step():
        pass
    found = MapRuns(driver.runtime).describe("flow", "e-1", "each.1/sizes")
    assert (found.total, found.running) == (3, 3)


@pytest.mark.parametrize("name", ["other", "both", "each:lane", "", "each.0"])
def test_what_is_no_foreach_of_an_execution_is_not_found(any_redis: Redis, name: str) -> None:
    driver = Driver(any_redis, {"work": work})
    branches = [{"steps": [{"type": "wait", "name": "night", "duration": 86400}]}] * 2
    both = {"type": "parallel", "name": "both", "branches": branches}
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": [both]}))
    driver.start()
    driver.step()
    with pytest.raises(MapRunNotExists):
        MapRuns(driver.runtime).describe("flow", "e-1", name)
    with pytest.raises(ExecutionNotExists):
        MapRuns(driver.runtime).describe("flow", "e-2", name)


@pytest.mark.parametrize(
    "given",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"tolerated_failed_count": -1},
        {"tolerated_failed_percentage": 101},
        {"tolerated_failed_count": 1, "tolerated_failed_percentage": 1},
    ],
)
def test_numbers_that_cannot_be_are_refused(any_redis: Redis, given: dict[str, Any]) -> None:
    driver = driver_of(any_redis, "abc")
    with pytest.raises(InvalidArgument):
        MapRuns(driver.runtime).update("flow", "e-1", "each", **given)


def test_a_foreach_that_has_ended_is_not_tuned(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "ab", last=False)
    while driver.step():
        pass
    with pytest.raises(ExecutionAlreadyCompleted):
        MapRuns(driver.runtime).update("flow", "e-1", "each", concurrency=2)
