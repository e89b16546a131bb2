"""Messages that nobody has claimed: which are lost, and which only wait in a long queue."""

from __future__ import annotations

from redis import Redis

from engine.runtime.claims import Claim
from tests.unit.test_store_figures import at_task

ID = "flow:e-1"


def test_a_message_in_a_queue_that_is_merely_long_is_not_sent_again(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    any_redis.lpush(driver.store.keys.queue, message.text)
    driver.wait_for_next()
    assert any_redis.llen(driver.store.keys.queue) == 1
    assert "redispatches" not in driver.store.record(ID)


def test_a_lost_message_is_sent_again_once_a_younger_one_is_claimed_however_long_the_queue_is(
    any_redis: Redis,
) -> None:
    driver, lost = at_task(any_redis)
    driver.hand.clear()
    any_redis.lpush(driver.store.keys.queue, lost.text)  # something always waits there
    driver.pass_time(6)
    driver.sweep()
    assert "redispatches" not in driver.store.record(ID)
    any_redis.delete(driver.store.keys.queue)
    driver.start(name="younger")
    (younger,) = driver.collect()
    assert isinstance(driver.store.claim(younger.pointer, driver.holder_of(younger)), Claim)
    any_redis.lpush(driver.store.keys.queue, lost.text)
    driver.pass_time(6)
    driver.sweep()
    assert driver.store.record(ID)["redispatches"] == "1"


def test_a_message_that_was_sent_twice_does_not_make_those_behind_it_look_lost(
    any_redis: Redis,
) -> None:
    driver, first = at_task(any_redis)
    driver.hand.clear()
    driver.pass_time(1)
    driver.start(name="behind")
    (behind,) = driver.collect()
    driver.hand.clear()
    driver.wait_for_next()  # the queue is empty: the first is taken for lost, and sent once more
    (copy,) = driver.collect()
    assert copy.pointer == first.pointer
    any_redis.lpush(driver.store.keys.queue, behind.text, copy.text)
    # It was only late.
    assert isinstance(driver.store.claim(first.pointer, driver.holder_of(first)), Claim)
    driver.pass_time(4)
    driver.sweep()
    assert "redispatches" not in driver.store.record(behind.pointer.execution_id)
