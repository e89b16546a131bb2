"""Figures: each counts exactly its thing, however often a call is repeated."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.runtime import figures
from engine.runtime.claims import Batch, Claim, Holder
from engine.runtime.reports import report
from engine.runtime.scripts import Verdict
from engine.runtime.sending import again
from engine.runtime.standing import fresh
from tests.driven import Message
from tests.driving import Driver, Trouble
from tests.properties.flows import TASKS, Document

TASK = {"type": "task", "name": "weigh", "resourceArn": "ok"}
EACH = {
    "type": "foreach",
    "name": "each",
    "iterationMapping": {"collection": "$.items", "item": "item"},
    "concurrency": 1,
    "steps": [TASK],
}
ASKS = {
    "type": "task",
    "name": "asks",
    "resourceArn": "ask",
    "pattern": "waitForCallback",
    "inputMappings": [{"target": "token", "source": "$context.task.token"}],
}
ITEMS = {"items": list("abcd")}


def driver_of(redis: Redis, *steps: Document, **settings: Any) -> Driver:
    """A driver with a started execution."""
    driver = Driver(redis, TASKS, settings=Settings(**settings))
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": list(steps)}))
    driver.start(ITEMS)
    return driver


def next_message(driver: Driver) -> Message:
    """The first message that is in the queue."""
    return driver.collect()[0]


def counted(driver: Driver, name: str = "e-1") -> dict[str, int]:
    """The figures that are not zero, of the execution; its sum with others is the same."""
    report = asdict(driver.describe(name).report)
    return {figure: count for figure, count in report.items() if count}


def claimed(driver: Driver, message: Message) -> Claim:
    claim = driver.store.claim(message.pointer, driver.holder_of(message))
    assert isinstance(claim, Claim)
    return claim


def at_task(redis: Redis, **settings: Any) -> tuple[Driver, Message]:
    """A driver whose execution is at its task, and the task's message."""
    driver = driver_of(redis, TASK, **settings)
    driver.step()
    return driver, next_message(driver)


def at_lane(redis: Redis) -> tuple[Driver, Message]:
    """A driver whose execution has opened its fork, and the first lane's message."""
    driver = driver_of(redis, EACH)
    driver.step()
    return driver, next_message(driver)


def batch_of(driver: Driver, message: Message) -> Batch:
    batch = driver.store.lane(message.pointer, driver.holder_of(message), 2, 2)
    assert isinstance(batch, Batch)
    return batch


def test_an_undisturbed_execution_counts_nothing(any_redis: Redis) -> None:
    driver = driver_of(any_redis, TASK, EACH, {"type": "wait", "name": "night", "duration": 86400})
    driver.drive()
    assert counted(driver) == {}
    assert set(figures.totals(driver.runtime).values()) == {0}


@pytest.mark.parametrize(
    "when", ["while it is claimed", "when the frame has gone on", "at the end"]
)
def test_a_message_that_comes_twice_counts_once(any_redis: Redis, when: str) -> None:
    night = {"type": "wait", "name": "night", "duration": 86400}
    driver = driver_of(any_redis, night)
    message = next_message(driver)
    if when == "while it is claimed":
        claimed(driver, message)
    elif when == "when the frame has gone on":
        driver.deliver(message)
    else:
        driver.drive()
    assert driver.deliver(message) in (Verdict.STALE, Verdict.MISSING)
    assert counted(driver) == {"duplicates_absorbed": 1}
    for _ in range(3):
        driver.scripts.again("claim")
    assert counted(driver) == {"duplicates_absorbed": 1}
    driver.deliver(message)
    assert counted(driver) == {"duplicates_absorbed": 2}


def test_a_claim_whose_reply_was_lost_is_no_duplicate(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claimed(driver, message)
    assert driver.scripts.again("claim").applied
    driver.hand.clear()
    claimed_call = driver.scripts.orders["claim"]
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    driver.drive()
    assert claimed_call != driver.scripts.orders["claim"]
    assert counted(driver) == {"handovers": 1}


def test_a_lane_that_finds_nothing_left_is_no_duplicate(any_redis: Redis) -> None:
    driver, message = at_lane(any_redis)
    driver.drive()
    again_, holder = message.pointer, driver.holder_of(message)
    assert driver.store.lane(again_, holder, 2, 2) is Verdict.MISSING
    assert counted(driver) == {}


def test_a_lane_that_finds_the_window_full_is_no_duplicate(any_redis: Redis) -> None:
    driver, message = at_lane(any_redis)
    batch_of(driver, message)
    assert driver.store.lane(message.pointer, Holder("w2", "another"), 2, 2) is Verdict.EMPTY
    assert counted(driver) == {}


def test_a_lane_that_comes_twice_to_its_worker_counts_once(any_redis: Redis) -> None:
    driver, message = at_lane(any_redis)
    batch_of(driver, message)
    for _ in range(3):
        holder = driver.holder_of(message)
        assert driver.store.lane(message.pointer, holder, 2, 2) is Verdict.STALE
        driver.scripts.again("lane")
    assert counted(driver) == {"duplicates_absorbed": 3}


@pytest.mark.parametrize("how", ["the next step", "the end"])
def test_a_result_that_comes_after_a_stop_is_refused(any_redis: Redis, how: str) -> None:
    driver, message = at_task(any_redis)
    claim = claimed(driver, message)
    driver.stop()
    if how == "the next step":
        driver.store.settle(claim, claim.frame, [], again(driver.runtime, fresh(claim.pointer)))
    else:
        driver.store.finish(claim.pointer, claim.holder, [], "Succeeded", {})
    driver.scripts.again("settle" if how == "the next step" else "finish")
    assert counted(driver) == {"stale_refused": 1}
    assert driver.describe().status == "Stopped"


def test_a_result_while_an_execution_is_being_stopped_is_refused(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim = claimed(driver, message)
    ending = {"status": "Stopped", "error": None, "cause": None}
    driver.store.verb("ending", "flow:e-1", ending=json.dumps(ending), net_ms=0)
    driver.store.finish(claim.pointer, claim.holder, [], "Succeeded", {})
    driver.scripts.again("finish")
    driver.sweep()
    assert driver.describe().status == "Stopped"
    assert counted(driver) == {"stale_refused": 1}


def test_a_report_that_comes_while_its_task_still_runs_makes_nobody_late(any_redis: Redis) -> None:
    def ask(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        report(driver.runtime, input["token"], {"kind": "reported", "output": {}})
        return {}

    driver = Driver(any_redis, {"ask": ask})
    driver.run(json.dumps({"version": "v1", "type": "flow", "steps": [ASKS]}))
    assert driver.describe().status == "Succeeded"
    assert counted(driver) == {}


def test_an_item_that_ends_after_a_stop_is_refused_and_one_that_has_not_begun_is_not(
    any_redis: Redis,
) -> None:
    driver, message = at_lane(any_redis)
    batch = batch_of(driver, message)
    driver.stop()
    opens = {"events": [], "to": {"st": "OPEN"}}
    assert driver.store.item(batch, batch.first, opens).verdict is Verdict.STALE
    assert counted(driver) == {}
    ends = {"events": [], "to": {"st": "ENDED", "result": "{}"}}
    assert driver.store.item(batch, batch.first, ends).verdict is Verdict.STALE
    driver.scripts.again("item")
    assert counted(driver) == {"stale_refused": 1}


def test_an_item_whose_reply_was_lost_is_not_late_when_other_batches_have_ended(
    any_redis: Redis,
) -> None:
    driver = driver_of(any_redis, EACH | {"concurrency": 3})
    driver.step()
    message = next_message(driver)
    ends = {"events": [], "to": {"st": "ENDED", "result": "{}"}}
    calls = []
    for number in range(3):
        batch = driver.store.lane(message.pointer, Holder("w", f"m-{number}"), 1, 3)
        assert isinstance(batch, Batch)
        answer = driver.store.item(batch, batch.first, ends)
        calls.append((driver.scripts.orders["item"], answer))
    for (keys, order), answer in calls:
        assert driver.scripts.call("item", keys, order) == answer
    assert counted(driver) == {}


def test_a_late_result_of_a_lost_worker_is_refused_and_the_step_was_handed_over(
    any_redis: Redis,
) -> None:
    driver, message = at_task(any_redis)
    claim = claimed(driver, message)
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    driver.scripts.again("wake")
    assert counted(driver) == {"handovers": 1}
    driver.store.finish(claim.pointer, claim.holder, [], "Succeeded", {})
    assert counted(driver) == {"handovers": 1, "stale_refused": 1}


def test_a_batch_of_a_lost_worker_was_handed_over_once(any_redis: Redis) -> None:
    driver, message = at_lane(any_redis)
    batch_of(driver, message)
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    assert driver.scripts.again("batch_lost").applied
    driver.sweep()
    assert counted(driver) == {"handovers": 1}
    assert driver.drive().status == "Succeeded"


def test_a_lost_message_was_sent_again_once(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    driver.hand.remove(message)
    driver.wait_for_next()
    driver.scripts.again("resend")
    assert counted(driver) == {"redispatches": 1}
    assert driver.drive().status == "Succeeded"
    assert counted(driver) == {"redispatches": 1}


def test_a_message_that_waits_in_a_long_queue_is_not_sent_again(any_redis: Redis) -> None:
    driver = driver_of(any_redis, TASK)
    driver.pass_time(60)
    driver.sweep()
    driver.scripts.again("resend")
    assert counted(driver) == {}


def test_lost_lanes_were_sent_again_once(any_redis: Redis) -> None:
    driver, _ = at_lane(any_redis)
    driver.hand.clear()
    driver.wait_for_next()
    driver.scripts.again("resend")
    assert counted(driver) == {"redispatches": 1}
    assert driver.drive().status == "Succeeded"


def test_the_totals_are_the_sums_of_all_executions(any_redis: Redis) -> None:
    trouble = Trouble(twice=0.3, lost=0.2, death=0.05)
    settings = Settings(max_losses=100)  # deaths go by the clock as well as by the seed
    driver = Driver(any_redis, TASKS, trouble=trouble, seed=7, settings=settings)
    text = json.dumps({"version": "v1", "type": "flow", "steps": [TASK, EACH]})
    driver.deploy(text)
    names = [f"e-{number}" for number in range(6)]
    for name in names:
        driver.start(ITEMS, name)
    for name in names:
        assert driver.drive(name).status == "Succeeded"
    reports = [asdict(driver.describe(name).report) for name in names]
    sums = {figure: sum(report[figure] for report in reports) for figure in reports[0]}
    assert figures.totals(driver.runtime) == sums
    assert min(sums["duplicates_absorbed"], sums["handovers"], sums["redispatches"]) > 0
