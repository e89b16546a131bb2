"""Skips: a step ends with an output that somebody gives it, whatever it was at."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from engine.core.events import EventType
from engine.errors import InvalidArgument, TaskInvalidState
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.skipping import Skip, skip
from tests.redriving import (
    EACH,
    NESTED,
    ROW,
    WHO,
    Work,
    left_open,
)


def test_a_step_that_has_failed_is_skipped_with_an_output(any_redis: Redis) -> None:
    work = Work({5})
    driver = work.driver(any_redis)
    assert driver.run(EACH, {"items": list(range(10))}).error == "Test.Broken"
    skip(driver.runtime, Skip("flow", "e-1", "second", {"done": "none"}, "each.5", WHO))
    assert driver.drive().output == {"done": [0, 1, 2, 3, 4, "none", 6, 7, 8, 9]}
    (skipped,) = [e for e in driver.history() if e.type is EventType.STEP_SKIPPED]
    assert (skipped.frame, skipped.detail) == ("each.5", WHO | {"output": {"done": "none"}})
    assert work.ran[5] == 1
    assert left_open(driver) == []


@pytest.mark.parametrize("claimed", [False, True])
def test_a_step_that_waits_or_runs_is_skipped_and_its_late_result_is_refused(
    any_redis: Redis, claimed: bool
) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(ROW)
    driver.start({"item": "x"})
    driver.step()
    (message,) = driver.collect()
    held = driver.store.claim(message.pointer, driver.holder_of(message)) if claimed else None
    skip(driver.runtime, Skip("flow", "e-1", "one", {"seen": "skipped"}, note=WHO))
    assert driver.drive().output == {"seen": "two", "done": "x"}
    assert work.ran["one "] == 0
    assert {"item": "x", "seen": "skipped"} in work.inputs
    assert held is None or left_open(driver) == []


def test_a_fork_that_is_skipped_leaves_no_child(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(NESTED)
    driver.start({"rows": [[1, 2, 3], [4, 5, 6]]})
    for _ in range(6):
        driver.step()
    skip(driver.runtime, Skip("flow", "e-1", "outer", {"done": "given"}, note=WHO))
    assert driver.drive().output == {"done": "given"}
    assert left_open(driver) == []


def test_a_step_where_nobody_stands_is_not_skipped(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(EACH)
    driver.start({"items": [1, 2]})
    with pytest.raises(InvalidArgument, match="stands at no step 'second'"):
        skip(driver.runtime, Skip("flow", "e-1", "second", {}))
    driver.drive()
    with pytest.raises(InvalidArgument):
        skip(driver.runtime, Skip("flow", "e-1", "second", {}))
    assert json.loads(json.dumps(driver.describe().output)) == {"done": [1, 2]}


@pytest.mark.parametrize("claimed", [False, True])
def test_a_step_to_which_a_redrive_has_not_led_yet_is_entered_before_it_is_skipped(
    any_redis: Redis, claimed: bool
) -> None:
    driver = Work({"x"}).driver(any_redis)
    assert driver.run(ROW, {"item": "x"}).error == "Test.Broken"
    redrive(driver.runtime, Redrive("flow", "e-1", note=WHO))
    (message,) = driver.collect()
    if claimed:
        driver.store.claim(message.pointer, driver.holder_of(message))
    skip(driver.runtime, Skip("flow", "e-1", "three", {"done": "given"}, note=WHO))
    assert driver.drive().output == {"seen": "two", "done": "given"}
    assert left_open(driver) == []


def test_a_step_from_which_a_redrive_leads_away_is_not_skipped(any_redis: Redis) -> None:
    driver = Work({"x"}).driver(any_redis)
    driver.run(ROW, {"item": "x"})
    redrive(driver.runtime, Redrive("flow", "e-1", "two", note=WHO))
    with pytest.raises(TaskInvalidState, match="look at the history"):
        skip(driver.runtime, Skip("flow", "e-1", "three", {"done": "given"}, note=WHO))
