"""Flows that loop thousands of times: their histories stay readable, and small in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from engine.runtime.archiving import PAGE, archived_page
from tests.driving import Driver
from tests.fundamentals.invariants import broken
from tests.properties.flows import Document
from tests.stores import keys_of

ID = "flow:e-1"
TURNS = 5000
PER_TURN = 9
KEPT = 3
SWEEP_EVERY = 60


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """A client that returns texts."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def loop(**option: Any) -> Document:
    tick = {"type": "task", "name": "tick", "resourceArn": "tick"}
    mapped = {"inputMappings": [{"target": "n", "source": "$local.n"}]}
    again = [{"condition": f"$.n < {TURNS}", "goto": "tick"}]
    choice = {"type": "choice", "name": "again", "choices": again}
    return {"version": "v1", "type": "flow", **option, "steps": [tick | mapped, choice]}


def driven(client: Redis, flow: Document, measured: dict[int, int]) -> tuple[Driver, int]:
    """Runs a loop to its end; the driver, and the most events that were ever in the stream.

    `measured` gets the bytes of the execution's keys at the turns that it has for keys.
    """
    driver = Driver(client, {"tick": lambda given, ctx: {"n": given.get("n", 0) + 1}})
    driver.deploy(json.dumps(flow))
    driver.start()
    turn = longest = 0
    while driver.step():
        turn += 1
        if turn % SWEEP_EVERY == 0:
            longest = max(longest, live(driver))
            driver.sweep()
        if turn in measured:
            measured[turn] = sum(keys_of(client, ID).values())
    driver.sweep()
    assert driver.describe().output == {"n": TURNS}
    return driver, longest


def live(driver: Driver) -> int:
    length: Any = driver.redis.xlen(driver.store.keys.history(ID))
    return int(length)


def unarchived_bytes(driver: Driver) -> int:
    """What the stream would take if nothing of it had been moved."""
    keys, pipe = driver.store.keys, driver.redis.pipeline(transaction=False)
    pages = live_from = int(driver.store.record(ID)["archived"])
    entries: list[Any] = []
    for number in range(pages // PAGE):
        entries += archived_page(driver.runtime, ID, number)
    rest: Any = driver.redis.xrange(keys.history(ID), f"({live_from}-0", "+")
    for entry, fields in [*entries, *rest]:
        pipe.xadd("unarchived", fields, id=entry)
    pipe.execute()
    usage: Any = driver.redis.memory_usage("unarchived", samples=0)
    return int(usage)


def test_every_event_of_a_long_loop_is_readable_from_a_short_stream(client: Redis) -> None:
    driver, longest = driven(client, loop(), {})
    history = driver.history()
    assert len(history) == TURNS * PER_TURN + 2
    assert broken(history) == []
    assert longest <= 3 * PAGE
    whole, archived = unarchived_bytes(driver), sum(keys_of(client, ID).values())
    print(f"{len(history)} events: {whole} bytes unarchived, {archived} archived")
    assert archived < whole / 10


def test_a_loop_that_keeps_some_turns_stays_small_for_ever(client: Redis) -> None:
    measured = {1000: 0, TURNS - 10: 0}
    driver, longest = driven(client, loop(history={"turns": KEPT}), measured)
    history, end = driver.history(), driver.describe()
    first, last = 1 + KEPT * PER_TURN, (TURNS - KEPT) * PER_TURN + 2
    total = TURNS * PER_TURN + 2
    assert [event.event_id for event in history] == [*range(1, first + 1), *range(last, total + 1)]
    assert end.dropped_turns == TURNS - 2 * KEPT
    assert sum(end.dropped.values()) == total - len(history)
    assert broken(history, dropped=total - len(history)) == []
    print(f"bytes at turn: {measured}, most events in the stream: {longest}")
    assert longest <= (2 * KEPT + 100 + SWEEP_EVERY) * PER_TURN
    assert measured[TURNS - 10] <= measured[1000] + 20_000
