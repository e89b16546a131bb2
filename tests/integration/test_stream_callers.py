"""Callers: who has the outer ends of an execution's streams, and what is left of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from engine.core.streaming import SINK, SOURCE
from engine.runtime.engine import Engine
from engine.runtime.pointer import execution_id
from engine.runtime.streaming import Caller
from tests.acceptance.running import HEAD
from tests.stores import without_ttl

EXECUTION = "flow/name"
ENDS = (SOURCE, SINK)


@pytest.fixture
def caller(redis_url: str) -> Caller:
    return Engine(redis_url).runtime.streams.caller(EXECUTION)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


def test_an_execution_has_one_caller(caller: Caller, redis: Redis) -> None:
    assert caller.attach("one", sends=True) and caller.attach("one", sends=True)
    assert not caller.attach("two", sends=False)
    assert caller.present() and without_ttl(redis) == []


def test_the_first_visit_that_asks_keeps_the_ends(caller: Caller, redis: Redis) -> None:
    caller.attach("one", sends=True)
    assert caller.lends("1", "1/1", [SOURCE]) == caller.lends("1", "1/1", [SOURCE]) == {SOURCE}
    assert caller.lends("1", "1/1", ENDS) == caller.lends("1", "1/2", ENDS) == set(ENDS)
    assert caller.lends("2", "2/1", ENDS) == set()
    assert len({caller.next_run(1), caller.next_run(1)}) == 2
    assert without_ttl(redis) == []


def test_a_caller_that_sends_nothing_lends_no_source(caller: Caller) -> None:
    caller.attach("one", sends=False)
    assert caller.lends("1", "1/1", ENDS) == {SINK}


def test_who_needs_no_caller_does_not_keep_it(caller: Caller, redis: Redis) -> None:
    caller.attach("one", sends=True)
    key = next(redis.scan_iter("*:caller"))
    redis.pexpire(key, 2000)
    assert caller.lends("1", "1/1", []) == set()
    assert 0 < int(str(redis.pttl(key))) <= 2000


def test_of_two_that_ask_at_once_one_has_both_ends(caller: Caller) -> None:
    for number in range(100):
        caller.attach("one", sends=True)
        visits = [f"{number}a", f"{number}b"]
        with ThreadPoolExecutor(len(visits)) as pool:
            lent = list(pool.map(lambda visit: caller.lends(visit, visit, ENDS), visits))
        assert sorted(map(len, lent)) == [0, 2]
        caller.detach()


def test_what_a_caller_has_not_read_goes_with_it(caller: Caller, redis: Redis) -> None:
    caller.attach("one", sends=True)
    assert caller.lends("1", "1/1", ENDS) == set(ENDS)
    caller.detach()
    assert redis.keys("*:{s:*") == []


def test_a_caller_may_go_while_it_is_asked(caller: Caller, redis: Redis) -> None:
    """What is then written of it goes by itself, and is no caller."""
    for number in range(300):
        caller.attach(f"c{number}", sends=True)
        visit = str(number)
        asking = threading.Thread(target=lambda v=visit: caller.lends(v, v, ENDS), daemon=True)
        asking.start()
        caller.detach()
        asking.join(10)
        assert not caller.present()
        assert without_ttl(redis) == []
        caller.detach()


def test_an_execution_remembers_that_it_had_a_caller(redis_url: str) -> None:
    """Also one that came when it ran already: a redrive must not do without."""
    engine = Engine(redis_url)
    engine.create_flow("later", HEAD + "- {type: wait, name: rest, duration: 60}\n")
    run = engine.start_execution("later")
    store = engine.runtime.store
    assert "caller" not in store.record(execution_id("later", run.name))
    with engine.stream("later", name=run.name):
        assert store.record(execution_id("later", run.name))["caller"] == "reads"
    with engine.stream("later", source=b"bytes") as streamed:
        assert store.record(execution_id("later", streamed.execution.name))["caller"] == "sends"
