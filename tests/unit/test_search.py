"""Searching: pages of executions, newest first, stable, and cheap where the index allows."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from redis import Redis

from engine.errors import InvalidArgument
from engine.runtime.searching import LOOKED, ExecutionPage, Search, search
from tests.crowds import Crowd, store_crowd
from tests.driving import Driver

PASS = "version: v1\ntype: flow\nsteps: [{type: pass, name: only}]"


def driver_of(redis: Redis, *names: str) -> Driver:
    driver = Driver(redis, {})
    driver.deploy(PASS)
    for at, name in enumerate(names):
        add(driver, name, at)
    return driver


def add(driver: Driver, name: str, second: int) -> None:
    """Starts an execution that began at a second of its own, as the index and its record say."""
    driver.start(name=name)
    identity, keys = f"flow:{name}", driver.store.keys
    for index in (keys.executions, keys.executions_of("flow")):
        driver.redis.zadd(index, {identity: second * 1000})
    driver.redis.hset(keys.record(identity), "started_ms", str(second * 1000))


def names(page: ExecutionPage) -> list[str]:
    return [execution.name for execution in page.executions]


def test_pages_are_newest_first_and_the_last_one_has_no_token(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "a", "b", "c", "d")
    first = search(driver.runtime, Search(limit=2))
    second = search(driver.runtime, Search(limit=2, token=first.next_token))
    assert (names(first), names(second)) == (["d", "c"], ["b", "a"])
    assert second.next_token == ""


def test_what_starts_meanwhile_does_not_move_the_next_page(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "a", "b", "c")
    first = search(driver.runtime, Search("flow", limit=1))
    add(driver, "d", 9)
    rest = search(driver.runtime, Search("flow", token=first.next_token))
    assert (names(first), names(rest)) == (["c"], ["b", "a"])


def test_a_page_goes_on_when_its_last_execution_has_expired(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "a", "b", "c")
    first = search(driver.runtime, Search(limit=2))
    driver.redis.delete(driver.store.keys.record("flow:b"))
    driver.redis.zrem(driver.store.keys.executions, "flow:b")
    assert names(search(driver.runtime, Search(token=first.next_token))) == ["a"]


def test_executions_of_one_millisecond_are_told_once_each(any_redis: Redis) -> None:
    driver = driver_of(any_redis)
    for number in range(25):
        add(driver, f"e-{number:02}", 7)
    found, token = [], ""
    while True:
        page = search(driver.runtime, Search(limit=3, token=token))
        found += names(page)
        if not (token := page.next_token):
            break
    assert found == [f"e-{number:02}" for number in reversed(range(25))]


def test_times_bound_a_search_with_their_begin_and_without_their_end(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "a", "b", "c", "d")
    page = search(driver.runtime, Search(started_from=1.0, started_to=3.0))
    assert names(page) == ["c", "b"]


def test_a_search_by_status_and_prefix_finds_what_has_both(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "day-1", "day-2", "night-1", "night-2")
    driver.stop("day-2")
    driver.stop("night-1")
    stopped = Search("flow", ("Stopped", "Failed"))
    assert names(search(driver.runtime, stopped)) == ["night-1", "day-2"]
    assert names(search(driver.runtime, Search(name_prefix="day-"))) == ["day-2", "day-1"]
    both = Search(statuses=["Stopped"], name_prefix="night-")
    assert names(search(driver.runtime, both)) == ["night-1"]


def test_a_search_for_rare_ones_looks_at_so_many_and_goes_on_by_its_token(
    redis_url: str,
) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = driver_of(redis, "rare")
        driver.stop("rare")
        record = {"status": "Running"}
        with redis.pipeline(transaction=False) as pipe:
            for number in range(LOOKED + 1000):
                identity = f"flow:e-{number}"
                pipe.zadd(driver.store.keys.executions, {identity: 1000 + number})
                pipe.hset(driver.store.keys.record(identity), mapping=record)
            pipe.execute()
        first = search(driver.runtime, Search(statuses=["Stopped"]))
        assert names(first) == [] and first.next_token
        second = search(driver.runtime, Search(statuses=["Stopped"], token=first.next_token))
        assert names(second) == ["rare"] and second.next_token == ""


def test_metadata_alone_comes_without_the_payloads(any_redis: Redis) -> None:
    driver = driver_of(any_redis)
    driver.start({"weight": 7}, "a")
    whole = search(driver.runtime, Search()).executions[0]
    bare = search(driver.runtime, Search(metadata_only=True)).executions[0]
    assert (whole.input, bare.input) == ({"weight": 7}, {})
    assert (bare.name, bare.status, bare.started_time) == ("a", "Running", whole.started_time)


ODD: list[Any] = [math.nan, math.inf, -math.inf, 10**400]


def forged(began_ms: float) -> str:
    """The token of a list that goes on at an execution that began then."""
    text = json.dumps(["0" * 12, began_ms, "flow:e-1"])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (Search(statuses=["Sleeping"]), "no status 'Sleeping'"),
        (Search(limit=0), "use 1 to 1000"),
        (Search(token="anything"), "not one of a list"),
        (Search(token="WzFd"), "not one of a list"),
        (Search(token="é"), "not one of a list"),
        *((Search(token=forged(place)), "not one of a list") for place in ODD),
        (Search(token="W1tb" * 100_000), "not one of a list"),
        *((Search(started_from=moment), "number of seconds") for moment in ODD),
        *((Search(started_to=moment), "number of seconds") for moment in ODD),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    any_redis: Redis, wanted: Search, complaint: str
) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        search(driver_of(any_redis).runtime, wanted)


def test_a_token_belongs_to_its_search(any_redis: Redis) -> None:
    driver = driver_of(any_redis, "a", "b")
    token = search(driver.runtime, Search(limit=1)).next_token
    with pytest.raises(InvalidArgument, match="another search"):
        search(driver.runtime, Search("flow", token=token))


def test_a_crowd_of_copies_is_described_and_found_like_any_execution(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = driver_of(redis)
        driver.start({"weight": 7}, "model")
        model = driver.drive("model")
        crowd = Crowd("flow", "model", count=2500, rare_each=100)
        store_crowd(redis, driver.store.keys, crowd)
        last = driver.describe(crowd.name(2499))
        assert (last.input, last.status) == (model.input, "Succeeded")
        assert last.started_time == pytest.approx(model.started_time - 2499 * 0.05)
        assert len(driver.history(crowd.name(1))) == len(driver.history("model"))
        rare = search(driver.runtime, Search("flow", ("Failed",)))
        assert names(rare) == [crowd.name(number) for number in range(100, 2600, 100)]
        page = search(driver.runtime, Search(started_to=last.started_time, limit=2))
        assert names(page) == [crowd.name(2500)]
