"""Retention: how long an execution is kept after its end, by its flow and its status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.errors import InvalidArgument
from engine.runtime.redriving import Redrive, redrive
from tests.driving import Driver
from tests.stores import keys_of, life_s

PASS = "version: v1\ntype: flow\nsteps: [{type: pass, name: only}]"
FAIL = "version: v1\ntype: flow\nsteps: [{type: fail, name: only, error: E}]"
HOUR_S, DAY_S = 3600, 86_400


def driver_of(redis: Redis, text: str, retention: Any = None) -> Driver:
    driver = Driver(redis, {}, settings=Settings(retention_s=DAY_S))
    driver.runtime.definitions.create("flow", text, retention=retention)
    driver.start({"weight": 1})
    return driver


def lives(driver: Driver) -> set[int]:
    """The life of each key of the execution, in hours."""
    return {round(life_s(driver.redis, key) / HOUR_S) for key in keys_of(driver.redis, "flow:e-1")}


@pytest.mark.parametrize(
    ("text", "retention", "hours"),
    [
        (PASS, {"Succeeded": HOUR_S}, 1),
        (PASS, {"Failed": HOUR_S}, 24),
        (FAIL, {"Failed": 48 * HOUR_S, "Succeeded": HOUR_S}, 48),
        (PASS, None, 24),
    ],
)
def test_the_status_says_how_long_an_execution_is_kept(
    redis_url: str, text: str, retention: Any, hours: int
) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = driver_of(redis, text, retention)
        driver.drive()
        assert lives(driver) == {hours}


def test_an_execution_keeps_the_retention_that_it_was_started_with(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = driver_of(redis, FAIL, {"Failed": 2 * HOUR_S})
        driver.runtime.definitions.update("flow", retention={"Failed": 5 * HOUR_S})
        driver.drive()
        assert lives(driver) == {2}
        redrive(driver.runtime, Redrive("flow", "e-1"))
        driver.drive()
        assert lives(driver) == {2}


def test_a_flow_tells_its_retention_and_loses_it_when_an_empty_one_is_given(
    any_redis: Redis,
) -> None:
    definitions = driver_of(any_redis, PASS, {"Stopped": 60}).runtime.definitions
    assert definitions.describe("flow").retention == {"Stopped": 60}
    assert definitions.update("flow", description="new").retention == {"Stopped": 60}
    assert definitions.update("flow", retention={}).retention == {}


@pytest.mark.parametrize(
    "retention",
    [{"Running": 60}, {"Sleeping": 60}, {"Failed": 0}, {"Failed": "1d"}, {"Failed": True}],
)
def test_a_retention_that_cannot_be_is_refused(any_redis: Redis, retention: Any) -> None:
    with pytest.raises(InvalidArgument, match="retention"):
        driver_of(any_redis, PASS, retention)


def test_a_flow_of_an_older_version_can_be_read_and_updated(any_redis: Redis) -> None:
    driver = driver_of(any_redis, PASS)
    key = driver.store.keys.flows
    old = json.loads(str(any_redis.hget(key, "flow")))
    for field in ("role_arn", "execution_mode", "retention"):
        del old[field]
    any_redis.hset(key, "flow", json.dumps(old))
    definitions = driver.runtime.definitions
    assert definitions.describe("flow").execution_mode == "Standard"
    assert definitions.update("flow", execution_mode="Express").execution_mode == "Express"
