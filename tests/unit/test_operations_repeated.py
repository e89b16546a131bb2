"""Operations whose every call comes three times: each is done once, and says so."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from redis import Redis

from engine.core.events import EventType
from engine.core.history import normalise
from engine.runtime.claims import Batch
from engine.runtime.pausing import pause, resume
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.scripts import Verdict
from engine.runtime.skipping import Skip, skip
from tests.driving import Driver
from tests.properties.flows import TASKS
from tests.redriving import EACH, HEAD, WHO, Work, again, left_open
from tests.stores import without_ttl
from tests.unit.test_store_repeated import (
    DONE_BEFORE,
    EVERYTHING,
    INPUT,
    StutteringScripts,
)

ITEMS = {"items": list(range(7))}
LIMITED = HEAD.replace("steps:", "timeoutSeconds: 9000\nsteps:") + (
    "- {type: wait, name: rests, duration: 600}\n"
)
ADDS_UP = {"resume", "thaw", "expect"}
"""What another caller may do as well: its second half is refused, or it changes nothing."""


def stuttering(driver: Driver) -> StutteringScripts:
    """Has each call made three times from now on."""
    scripts = StutteringScripts(driver.redis)
    driver.store.scripts = scripts
    return scripts


def done_twice(scripts: StutteringScripts) -> list[tuple[str, Verdict]]:
    """Calls of others that were not told that the transition had been made."""
    return [told for told in scripts.other if told[1] not in DONE_BEFORE and told[0] not in ADDS_UP]


def counted(driver: Driver, *types: EventType) -> Counter[EventType]:
    return Counter(event.type for event in driver.history() if event.type in types)


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_a_pause_and_a_resume_happen_once(any_redis: Redis, freeze: bool, steps: int) -> None:
    driver = Driver(any_redis, TASKS, seed=steps)
    scripts = stuttering(driver)
    driver.deploy(json.dumps(EVERYTHING))
    driver.start(INPUT)
    for _ in range(steps):
        driver.step()
    pause(driver.runtime, "flow", "e-1", freeze, WHO)
    while driver.step():
        pass
    resume(driver.runtime, "flow", "e-1", WHO)
    assert driver.drive().status == "Succeeded"
    held = (EventType.EXECUTION_PAUSED, EventType.EXECUTION_RESUMED)
    assert counted(driver, *held) == dict.fromkeys(held, 1)
    usual = Driver(any_redis, TASKS, seed=steps)
    usual.start(INPUT, "e-2")
    usual.drive("e-2")
    seen = normalise(event for event in driver.history() if event.type not in held)
    assert seen == normalise(usual.history("e-2"))
    assert {"pause", "resume"} <= scripts.verbs
    assert done_twice(scripts) == []
    assert without_ttl(any_redis) == []


def test_time_that_stood_still_is_given_back_once(any_redis: Redis) -> None:
    driver = Driver(any_redis, {})
    scripts = stuttering(driver)
    driver.deploy(LIMITED)
    driver.start()
    driver.step()
    driver.pass_time(100)
    pause(driver.runtime, "flow", "e-1", True, WHO)
    driver.pass_time(5000)
    resume(driver.runtime, "flow", "e-1", WHO)
    left_ms = float(driver.store.record("flow:e-1")["expire_ms"]) - driver.now_ms()
    assert 8890_000 < left_ms < 8900_001
    state = driver.store.state("flow:e-1", "") or {}
    assert 490_000 < state["due"] - driver.now_ms() < 500_001
    assert "thaw" in scripts.verbs
    assert driver.drive().status == "Succeeded"


def test_a_redrive_and_a_skip_happen_once(any_redis: Redis) -> None:
    work = Work({2, 5})
    driver = work.driver(any_redis)
    scripts = stuttering(driver)
    assert driver.run(EACH, ITEMS).status == "Failed"
    work.broken = {5}
    assert again(driver).status == "Failed"
    redriven = EventType.EXECUTION_REDRIVEN
    assert counted(driver, redriven) == {redriven: 1}
    skip(driver.runtime, Skip("flow", "e-1", "second", {"done": "none"}, "each.5", WHO))
    ended = driver.drive()
    assert ended.output == {"done": [0, 1, 2, 3, 4, "none", 6]}
    assert counted(driver, redriven, EventType.STEP_SKIPPED) == {
        redriven: 2,
        EventType.STEP_SKIPPED: 1,
    }
    assert "redrive" in scripts.verbs
    assert done_twice(scripts) == []
    assert left_open(driver) == []
    assert (ended.report.handovers, ended.report.redispatches) == (0, 0)
    assert without_ttl(any_redis) == []


def test_an_item_that_a_batch_is_at_is_skipped_once(any_redis: Redis) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(EACH)
    driver.start(ITEMS)
    driver.step()
    lane = driver.collect()[0]
    batch = driver.store.lane(lane.pointer, driver.holder_of(lane), 3, 1)
    assert isinstance(batch, Batch)
    entered = [["IterationEntered", "each", "each.0", batch.fork_event_id, '{"index": 0}']]
    entered.append(["StepEntered", "first", "each.0", "", '{"input": {}}'])
    opens = {"events": entered, "to": {"st": "OPEN"}}
    assert driver.store.item(batch, 0, opens).applied
    scripts = stuttering(driver)
    skip(driver.runtime, Skip("flow", "e-1", "first", {}, "each.0", WHO))
    assert driver.drive().output == {"done": list(range(7))}
    assert "batch_lost" in scripts.verbs
    assert done_twice(scripts) == []
    assert counted(driver, EventType.STEP_SKIPPED) == {EventType.STEP_SKIPPED: 1}
    assert driver.describe().report.handovers == 0


def test_who_redrives_what_goes_on_already_is_told_so(any_redis: Redis) -> None:
    work = Work({1})
    driver = work.driver(any_redis)
    driver.run(EACH, ITEMS)
    stuttering(driver)
    assert redrive(driver.runtime, Redrive("flow", "e-1", note=WHO)) is None
    assert redrive(driver.runtime, Redrive("flow", "e-1", note=WHO)) == "Running"
