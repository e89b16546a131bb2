"""What an execution costs: the same for each step, however long it has run and wide it is."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import redis

from engine.runtime.embedded import EmbeddedRedis
from tests.driven import WatchedScripts
from tests.driving import Driver
from tests.properties.flows import TASKS
from tests.stores import keys_of

TURNS = 2000
ITEMS = 5000
ID = "flow:e-1"
ORDER_LIMIT_BYTES = 16 * 1024
STATE_LIMIT_BYTES = 8 * 1024


def _count(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    return {"turn": input["turn"] + 1}


FUNCTIONS = {**TASKS, "count": _count}

LOOP = {
    "version": "v1",
    "type": "flow",
    "steps": [
        {"type": "task", "name": "count", "resourceArn": "count"},
        {
            "type": "parallel",
            "name": "both",
            "branches": [{"steps": [{"type": "task", "name": "a", "resourceArn": "ok"}]}],
        },
        {
            "type": "choice",
            "name": "again",
            "choices": [{"condition": f"$.turn < {TURNS}", "goto": "count"}],
        },
    ],
}

WIDE = {
    "version": "v1",
    "type": "flow",
    "steps": [
        {
            "type": "foreach",
            "name": "each",
            "iterationMapping": {"collection": "$.items", "item": "item"},
            "steps": [{"type": "task", "name": "do", "resourceArn": "ok"}],
            "outputMappings": [{"target": "results", "source": "$local"}],
        }
    ],
}


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url, decode_responses=True)


def state_bytes(client: redis.Redis) -> int:
    """What an execution takes in memory beside its history."""
    keys = keys_of(client, ID)
    return sum(size for key, size in keys.items() if ":h:" not in key)


def work_of(client: redis.Redis, driver: Driver) -> Counter[str]:
    """The commands and the bytes that the server has seen so far."""
    stats: Any = client.info("commandstats")
    network: Any = client.info("stats")
    counts = Counter({name: int(value["calls"]) for name, value in stats.items()})
    counts["bytes"] = int(network["total_net_input_bytes"])
    return counts


def turn(client: redis.Redis, driver: Driver) -> Counter[str]:
    """Drives one turn of the loop; what it cost."""
    before, first = work_of(client, driver), driver.scripts.calls["fork"]
    while driver.scripts.calls["fork"] == first:
        assert driver.step()
    after = work_of(client, driver)
    return after - before


@pytest.mark.timeout(60)
def test_the_last_of_many_turns_of_a_loop_costs_what_the_first_did(client: redis.Redis) -> None:
    driver = Driver(client, FUNCTIONS)
    driver.deploy(json.dumps(LOOP))
    driver.start({"turn": 0})
    for _ in range(3):
        turn(client, driver)
    early, early_bytes = turn(client, driver), state_bytes(client)
    while driver.scripts.calls["fork"] < TURNS - 1:
        assert driver.step()
    late, late_bytes = turn(client, driver), state_bytes(client)
    commands = {name for name in early | late if name.startswith("cmdstat_")}
    asked = {"cmdstat_info", "cmdstat_memory", "cmdstat_memory|usage", "cmdstat_scan"}
    assert {name: late[name] for name in commands - asked} == {
        name: early[name] for name in commands - asked
    }
    assert late["bytes"] < early["bytes"] * 1.05
    assert late_bytes < early_bytes * 1.1 and late_bytes < STATE_LIMIT_BYTES
    assert max(driver.scripts.largest.values()) < ORDER_LIMIT_BYTES
    ended = driver.drive()
    assert ended.output is not None and ended.output["turn"] == TURNS


@pytest.mark.timeout(60)
def test_a_wide_fork_needs_no_call_and_no_message_of_its_size(redis_server: EmbeddedRedis) -> None:
    """Beyond the collection and the result, each of which is written once, in pages."""
    measured = {items: wide(redis_server, items) for items in (ITEMS // 5, ITEMS)}
    few, many = measured.values()
    assert many.scripts.largest["put"] <= 300 * 1024, "a page"
    assert many.scripts.largest["forget"] <= 64 * 1024, "a page"
    for verb in set(many.scripts.largest) - {"put", "forget"}:
        assert many.scripts.largest[verb] < few.scripts.largest[verb] * 1.1 + 200, verb
        assert many.scripts.largest[verb] < ORDER_LIMIT_BYTES, verb
    batches = many.scripts.calls["lane"]
    assert many.scripts.calls["item"] <= ITEMS + batches
    assert len(many.delivered) <= batches + 4
    assert batches < ITEMS / 20
    assert max(len(message.text) for message in many.delivered) < 2048


def wide(server: EmbeddedRedis, items: int) -> Driver:
    """Runs a fork over so many items of 100 bytes."""
    client = redis.Redis.from_url(server.url, decode_responses=True)
    client.flushall()
    driver = Driver(client, FUNCTIONS, batch=200)
    assert isinstance(driver.store.scripts, WatchedScripts)
    given = {"items": [f"{n:0100d}" for n in range(items)]}
    ended = driver.run(json.dumps(WIDE), given)
    assert ended.output is not None and len(ended.output["results"]) == items
    stored: Any = client.hgetall(driver.store.keys.payloads(ID))
    whole = len(json.dumps(given, separators=(",", ":")))
    whole += len(json.dumps(ended.output, separators=(",", ":")))
    assert sum(map(len, stored.values())) < whole * 1.1, "stored once"
    return driver
