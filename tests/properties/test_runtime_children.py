"""Children and callbacks under every trouble: a parent goes on once, with what its child left."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from engine.config import Settings
from engine.errors import EngineError
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.reports import report
from tests.driving import Driver
from tests.fundamentals.invariants import broken
from tests.properties.test_runtime_properties import DEATHS, DISORDER, LOSSES
from tests.stores import without_ttl

SEEDS = 8
TROUBLES = {"disorder": DISORDER, "losses": LOSSES, "deaths": DEATHS}

CHILD = {
    "version": "v1",
    "type": "flow",
    "steps": [
        {"type": "wait", "name": "rest", "duration": 3},
        {"type": "task", "name": "double", "resourceArn": "double"},
    ],
}

PARENT = {
    "version": "v1",
    "type": "flow",
    "steps": [
        {
            "type": "foreach",
            "name": "each",
            "iterationMapping": {"collection": "$.numbers", "item": "n"},
            "steps": [
                {
                    "type": "task",
                    "name": "hand_over",
                    "resourceArn": "acs:fnf:::flow/child",
                    "pattern": "sync",
                    "inputMappings": [{"target": "n", "source": "$input.n"}],
                }
            ],
            "outputMappings": [{"target": "doubled", "source": "$local[*].n"}],
        },
        {
            "type": "task",
            "name": "ask",
            "resourceArn": "ask",
            "pattern": "waitForCallback",
            "inputMappings": [{"target": "token", "source": "$context.task.token"}],
        },
    ],
}


def driver_on(server: EmbeddedRedis, trouble: str, seed: int) -> Driver:
    """A driver with both flows; `ask` reports its own token, twice, before it returns."""
    client = redis.Redis.from_url(server.url, decode_responses=True)
    client.flushall()

    def double(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        return {"n": 2 * input["n"]}

    def ask(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        for answer in ("yes", "no"):
            try:
                report(
                    driver.runtime,
                    input["token"],
                    {"kind": "reported", "output": {"answer": answer}},
                )
            except EngineError as error:
                refused.append(error.code)
        return {}

    refused: list[str] = []
    functions = {"double": double, "ask": ask}
    settings = Settings(max_losses=1000)
    driver = Driver(client, functions, seed=seed, trouble=TROUBLES[trouble], settings=settings)
    driver.deploy(json.dumps(PARENT))
    driver.deploy(json.dumps(CHILD), "child")
    return driver


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_children_and_callbacks_come_back_once(
    redis_server: EmbeddedRedis, trouble: str, seed: int
) -> None:
    driver = driver_on(redis_server, trouble, seed)
    driver.start({"numbers": [1, 2, 3]})
    ended = driver.drive()
    assert (ended.status, ended.error) == ("Succeeded", None)
    assert ended.output is not None and ended.output["doubled"] == [2, 4, 6]
    driver.settle()
    assert driver.describe() == ended
    assert broken(driver.history()) == []
    assert without_ttl(driver.redis) == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_children_of_a_stopped_parent_are_stopped(
    redis_server: EmbeddedRedis, seed: int
) -> None:
    driver = driver_on(redis_server, "deaths", seed)
    driver.start({"numbers": [1, 2, 3]})
    for _ in range(3 + seed):
        driver.step()
    if not driver.describe().status.ended:
        driver.stop()
    driver.drive()
    keys = driver.store.keys
    children: Any = driver.redis.zrange(keys.executions_of("child"), 0, -1)
    for identity in children:
        name = identity.partition(":")[2]
        assert driver.drive(name, "child").status.ended
        assert broken(driver.history(name, "child")) == []
    driver.settle()
    assert without_ttl(driver.redis) == []
