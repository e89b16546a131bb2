"""The verbs of the store: who may claim, what is refused, what is due, what is left in the end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.errors import ExecutionAlreadyCompleted, ExecutionAlreadyExists, ExecutionNotExists
from engine.runtime.claims import Claim, Holder
from engine.runtime.renewing import Leases
from engine.runtime.scripts import Verdict
from engine.runtime.sending import again
from tests.driven import Message, message_of
from tests.driving import Driver
from tests.fundamentals.invariants import broken
from tests.properties.flows import TASKS, Document
from tests.stores import life_s, without_ttl

TASK = {"type": "task", "name": "weigh", "resourceArn": "ok"}
NIGHT = {"type": "wait", "name": "night", "duration": 86400}
SOON = {"type": "wait", "name": "soon", "duration": 30}
ID = "flow:e-1"


def text(*steps: Document) -> str:
    return json.dumps({"version": "v1", "type": "flow", "steps": list(steps)})


def started(redis: Redis, *steps: Document, **settings: Any) -> tuple[Driver, Message]:
    """A driver with a started execution, and its first message."""
    driver = Driver(redis, TASKS, settings=Settings(**settings))
    driver.deploy(text(*steps))
    driver.start()
    (message,) = driver.collect()
    return driver, message


def at_task(redis: Redis, **settings: Any) -> tuple[Driver, Message]:
    """A driver whose execution waits for its task to be taken, and the task's message."""
    driver, _ = started(redis, TASK, **settings)
    driver.step()
    (message,) = driver.collect()
    return driver, message


def claim(driver: Driver, message: Message, node: str = "w1") -> Claim | Verdict:
    return driver.store.claim(message.pointer, driver.holder_of(message, node))


def score(redis: Redis, key: str) -> float:
    entries: Any = redis.zrange(key, 0, -1, withscores=True)
    ((_, value),) = entries
    return float(value)


def test_a_name_starts_one_execution(any_redis: Redis) -> None:
    driver, _ = started(any_redis, TASK)
    driver.start({"other": 1})
    assert driver.describe().input == {}
    assert driver.collect()[1:] == [], "a second start sends no message"


def test_the_name_of_an_ended_execution_stays_taken(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS)
    driver.run(text(TASK))
    with pytest.raises(ExecutionAlreadyExists, match="has ended"):
        driver.start()


def test_one_of_two_claims_gets_the_frame(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    assert isinstance(claim(driver, message), Claim)
    assert claim(driver, message, "w2") is Verdict.STALE


def test_a_message_of_a_stand_that_is_over_is_refused(any_redis: Redis) -> None:
    driver, message = started(any_redis, NIGHT)
    driver.step()
    assert claim(driver, message) is Verdict.STALE


def test_a_message_of_an_execution_that_has_ended_is_refused(any_redis: Redis) -> None:
    driver, message = started(any_redis, TASK)
    driver.drive()
    assert claim(driver, message) is Verdict.MISSING


def test_a_message_before_its_time_is_refused(any_redis: Redis) -> None:
    driver, _ = started(any_redis, SOON)
    driver.step()
    (message,) = driver.collect()
    assert message.eta
    assert claim(driver, message) is Verdict.EARLY
    driver.pass_time(30)
    assert isinstance(claim(driver, message), Claim)


def test_what_was_taken_before_its_time_is_sent_again_when_it_is_due(any_redis: Redis) -> None:
    driver, _ = started(any_redis, SOON)
    driver.step()
    (message,) = driver.collect()
    assert claim(driver, message) is Verdict.EARLY
    driver.hand.clear()
    any_redis.lpush(driver.store.keys.queue, message.text)  # something always waits there
    driver.pass_time(29)
    driver.sweep()
    assert any_redis.llen(driver.store.keys.queue) == 1
    driver.pass_time(1.2)  # much less than the grace of a message that may be lost
    driver.sweep()
    assert any_redis.llen(driver.store.keys.queue) == 2


def test_nothing_of_an_execution_that_is_being_stopped_is_claimed(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    driver.store.verb("ending", ID, ending="{}", net_ms=5000)
    assert claim(driver, message) is Verdict.ENDING


def test_the_result_of_a_stopped_execution_is_refused(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    held = claim(driver, message)
    assert isinstance(held, Claim)
    driver.stop()
    assert driver.store.settle(held, held.frame, [], again_of(driver, held)).verdict in (
        Verdict.MISSING,
        Verdict.STALE,
    )
    assert driver.describe().status == "Stopped"


def again_of(driver: Driver, held: Claim) -> Any:
    return again(driver.runtime, held.pointer)


def test_a_decision_that_names_an_event_id_which_others_took_is_told_the_next(
    any_redis: Redis,
) -> None:
    driver, message = at_task(any_redis)
    held = claim(driver, message)
    assert isinstance(held, Claim)
    answer = driver.store.settle(held, held.frame, [], again_of(driver, held), exact=99)
    assert (answer.verdict, answer.values) == (Verdict.MOVED, (held.next_event_id,))
    exact = held.next_event_id
    assert driver.store.settle(held, held.frame, [], again_of(driver, held), exact=exact).applied


@pytest.mark.parametrize("status", ["ended", "never started"])
def test_only_a_running_execution_is_stopped(any_redis: Redis, status: str) -> None:
    driver, _ = started(any_redis, TASK)
    driver.drive()
    if status == "ended":
        with pytest.raises(ExecutionAlreadyCompleted):
            driver.stop()
    else:
        with pytest.raises(ExecutionNotExists):
            driver.stop("e-2")


def test_a_stop_before_the_first_step_leaves_a_whole_history(any_redis: Redis) -> None:
    driver, _ = started(any_redis, TASK)
    driver.stop()
    driver.drive()
    assert broken(driver.history()) == []


def test_a_wake_counts_once(any_redis: Redis) -> None:
    driver, _ = started(any_redis, NIGHT)
    driver.step()
    state = driver.store.state(ID, "")
    assert state is not None
    waiting = message_of(driver.delivered[0].text).pointer.to("resume", state["fence"], "night", 1)
    to = again(driver.runtime, waiting)
    assert driver.store.wake(waiting, to, ("WAITING",), {"kind": "reported"}).applied
    another = driver.store.wake(waiting, again(driver.runtime, waiting), ("WAITING",), None)
    assert another.verdict is Verdict.STALE
    fresh = driver.store.wake(to.pointer, to, ("WAITING",), None)
    assert fresh.verdict is Verdict.REPEATED


def test_what_is_due_is_handed_out_once_and_a_few_at_a_time(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS)
    key = driver.store.keys.timers
    any_redis.zadd(key, {f"entry-{n}": n for n in range(250)})
    order = {"limit": 100, "hold_ms": 5000}
    taken: list[str] = []
    for size in (100, 100, 50, 0):
        page = driver.store.scripts.raw("sweep", [key], order | {"call": str(size)})
        assert len(page) == size
        taken += page
    assert len(set(taken)) == 250
    driver.pass_time(6)
    assert len(driver.store.scripts.raw("sweep", [key], order | {"call": "later"})) == 100


def test_a_message_that_nobody_claims_is_sent_again_with_more_and_more_patience(
    any_redis: Redis,
) -> None:
    driver, first = at_task(any_redis)
    message = first
    driver.hand.clear()
    dispatch = driver.store.keys.dispatch
    for grace_s, fences in ((12, 1), (48, 2), (192, 2)):
        before = message.pointer.fence
        driver.wait_for_next()
        (copy,) = driver.collect()
        driver.hand.clear()
        assert len({before, copy.pointer.fence}) == fences
        message = copy
        left_s = (score(any_redis, dispatch) - driver.now_ms()) / 1000
        assert left_s == pytest.approx(grace_s, abs=1)
    assert isinstance(claim(driver, copy), Claim)
    assert claim(driver, first) is Verdict.STALE
    record = driver.store.record(ID)
    assert (record["redispatches"], record["duplicates"]) == ("3", "1")


def test_a_lease_that_is_renewed_does_not_end(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim(driver, message)
    driver.pass_time(2)
    leases = Leases(driver.redis, driver.store.keys, "w1", driver.store.settings.lease_s)
    assert leases.renew([message.id, "another"]) == 1
    driver.pass_time(2)
    driver.sweep()
    assert driver.collect()[1:] == []
    driver.pass_time(2)
    driver.sweep()
    state = driver.store.state(ID, "")
    assert state is not None and state["st"] == "READY"


def test_no_lease_ends_soon_after_a_time_in_which_nobody_has_looked(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim(driver, message)
    driver.pass_time(20)
    driver.sweeper.sweep(patient=True)
    assert standing_of(driver) == "RUNNING"
    any_redis.set(driver.store.keys.calm, "0", px=60_000)  # they have looked, for long enough
    driver.sweeper.sweep(patient=True)
    assert standing_of(driver) == "READY"


def test_what_a_lost_worker_held_is_forgotten(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim(driver, message)
    driver.pass_time(20)
    driver.sweep()
    assert standing_of(driver) == "READY"
    assert any_redis.hlen(driver.store.keys.held("w1")) == 0


def standing_of(driver: Driver) -> str | None:
    state = driver.store.state(ID, "")
    return None if state is None else str(state["st"])


def test_what_a_worker_holds_is_forgotten_when_it_is_gone(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim(driver, message)
    assert any_redis.hlen(driver.store.keys.held("w1")) == 1
    assert life_s(any_redis, driver.store.keys.held("w1")) > driver.store.settings.lease_s
    keys = driver.store.keys
    running = {keys.frames(ID), keys.history(ID), keys.record(ID), keys.states(ID)}
    assert set(without_ttl(any_redis)) == running


def test_more_delayed_messages_than_workers_may_hold_wait_in_the_store(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS, settings=Settings(max_eta_messages=2))
    driver.deploy(text(SOON, TASK))
    for n in range(4):
        driver.start(name=f"e-{n}")
    while driver.step():
        pass
    assert len(driver.hand) == 2
    assert any_redis.zcard(driver.store.keys.timers) == 2
    for n in range(4):
        assert driver.drive(f"e-{n}").status == "Succeeded"


def test_a_retry_that_waits_in_the_store_does_not_time_out_there(any_redis: Redis) -> None:
    """Its limit begins when it is taken, not while it waits for its turn."""
    driver = Driver(any_redis, TASKS, settings=Settings(max_eta_messages=1))
    retry = [{"errors": ["Test.Busy"], "intervalSeconds": 30}]
    flaky = {"type": "task", "name": "try", "resourceArn": "flaky", "retry": retry}
    driver.deploy(text(flaky | {"timeoutSeconds": 5}))
    for n in range(3):
        driver.start(name=f"e-{n}")
    for n in range(3):
        assert driver.drive(f"e-{n}").output == {"attempt": 2}


@pytest.mark.parametrize("end", ["succeeded", "failed", "stopped"])
def test_every_key_of_an_ended_execution_has_a_life_span(any_redis: Redis, end: str) -> None:
    driver = Driver(any_redis, TASKS, settings=Settings(retention_s=100))
    large = {"pages": ["x" * 5000] * 20}
    last = {"type": "fail" if end == "failed" else "pass", "name": "last"}
    driver.deploy(text(TASK, NIGHT, last))
    driver.start(large)
    driver.step()
    if end == "stopped":
        driver.step()
        driver.stop()
    driver.drive()
    keys = driver.store.keys
    left = {keys.record(ID), keys.history(ID), keys.payloads(ID)}
    if end != "succeeded":
        left.add(keys.frames(ID))  # a redrive goes on from there
    assert {str(key) for key in any_redis.scan_iter(match=f"*:{ID}")} == left
    assert all(90 <= life_s(any_redis, key) <= 100 for key in left)
    assert without_ttl(any_redis) == []
    for key in (keys.timers, keys.lease, keys.dispatch):
        assert any_redis.zcard(key) == 0


def test_a_value_that_is_put_before_its_start_goes_if_the_start_does_not_come(
    any_redis: Redis,
) -> None:
    driver = Driver(any_redis, TASKS)
    packed = driver.store.packer.pack(ID, {"page": "x" * 5000})
    payloads = driver.store.keys.payloads(ID)
    assert 0 < life_s(any_redis, payloads) <= 3600
    driver.deploy(text(NIGHT))
    driver.start({"page": "x" * 5000})
    assert life_s(any_redis, payloads) == -1
    assert driver.store.packer.unpack(ID, packed) == {"page": "x" * 5000}


def test_a_value_that_is_put_after_the_end_goes_with_the_execution(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS, settings=Settings(retention_s=100))
    driver.run(text(TASK))
    driver.store.packer.pack(ID, {"page": "x" * 5000})
    assert 0 < life_s(any_redis, driver.store.keys.payloads(ID)) <= 100


def test_the_entries_of_a_worker_go_when_the_child_of_its_pool_dies(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    claim(driver, message)
    driver.sweeper.lost("w1", message.id)
    assert any_redis.hlen(driver.store.keys.held("w1")) == 0
    assert driver.drive().status == "Succeeded"
    driver.sweeper.lost("w1", message.id)


def test_a_claim_is_held_under_the_message_it_came_with(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    driver.store.claim(message.pointer, Holder("w7", "m-1"))
    held: Any = any_redis.hgetall(driver.store.keys.held("w7"))
    assert held == {"m-1": f"{ID}||{message.pointer.fence}"}


def test_only_who_has_claimed_the_last_step_ends_the_execution(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    holder = driver.holder_of(message)
    pointer = message.pointer
    end = driver.store.finish(pointer, holder, [], "Succeeded", {})
    assert end.verdict is Verdict.STALE, "not claimed"
    claim(driver, message)
    other = driver.store.finish(replace(pointer, fence="another"), holder, [], "Succeeded", {})
    assert other.verdict is Verdict.STALE
    assert driver.store.finish(pointer, holder, [], "Succeeded", {}).applied
