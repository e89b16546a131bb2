"""Children: an execution that ends stops whom it has started, whatever it was just told."""

from __future__ import annotations

import pytest
from redis import Redis

from engine.runtime.claims import Claim
from engine.runtime.skipping import Skip, skip
from tests.driving import Driver
from tests.redriving import HEAD, WHO, Work
from tests.stores import without_ttl

CHILD = HEAD + "- {type: wait, name: naps, duration: 86400}\n"
PARENT = (
    HEAD
    + "- {type: task, name: calls, resourceArn: acs:fnf:::flow/child, pattern: sync,"
    + " timeoutSeconds: 60}\n"
)


def with_child(redis: Redis) -> tuple[Driver, str]:
    """A driver whose execution waits for a child, and the child's name."""
    driver = Work(set()).driver(redis)
    driver.deploy(CHILD, "child")
    driver.deploy(PARENT)
    driver.start()
    while driver.step():
        pass
    (child,) = redis.zrange(driver.store.keys.executions_of("child"), 0, -1)  # type: ignore[misc]
    return driver, str(child).partition(":")[2]


@pytest.mark.parametrize("told", ["time is over", "skipped"])
def test_a_stop_before_the_news_is_taken_stops_the_child(any_redis: Redis, told: str) -> None:
    driver, child = with_child(any_redis)
    if told == "skipped":
        skip(driver.runtime, Skip("flow", "e-1", "calls", {}, note=WHO))
    else:
        driver.pass_time(61)
        driver.sweep()
    assert (driver.store.state("flow:e-1", "") or {})["st"] == "READY"
    driver.stop()
    assert driver.describe(child, "child").status == "Stopped"
    while driver.step():  # what is still in the queue finds nothing to do
        pass
    assert without_ttl(any_redis) == []


def test_a_stop_before_a_lost_start_is_repeated_stops_the_child(any_redis: Redis) -> None:
    driver, _ = with_child(any_redis)
    driver.start(name="e-2")
    driver.step()
    message = next(m for m in driver.collect() if m.pointer.execution == "e-2")
    claim = driver.store.claim(message.pointer, driver.holder_of(message))
    assert isinstance(claim, Claim)
    graph = driver.runtime.definitions.graph(claim.definition)
    driver.runner.run(driver.conductor.work(claim, graph))  # and its worker is lost
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    assert (driver.store.state("flow:e-2", "") or {})["st"] == "READY"
    driver.stop("e-2")
    driver.stop()
    for identity in any_redis.zrange(driver.store.keys.executions_of("child"), 0, -1):  # type: ignore[union-attr]
        assert driver.describe(str(identity).partition(":")[2], "child").status == "Stopped"
