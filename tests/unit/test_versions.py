"""Executions of another version of the state: they can be read, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from engine.core.states import ExecutionStatus
from engine.errors import ConcurrentUpdateError
from engine.runtime.documents import STATE_VERSION, VERSION_FIELD
from engine.runtime.ending import Ending
from engine.runtime.pausing import pause, resume
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.reports import report
from engine.runtime.runtime import Runtime
from engine.runtime.skipping import Skip, skip
from engine.runtime.starting import Start, start
from tests.driving import Driver

FLOW = """
version: v1
type: flow
steps:
- {type: task, name: asks, resourceArn: ask, pattern: waitForCallback,
   inputMappings: [{target: token, source: $context.task.token}]}
"""
NOTE = {"by": "ann"}
REFUSED: dict[str, Callable[[Runtime, str], Any]] = {
    "stop": lambda runtime, _: Ending(runtime).stop(
        "flow", "e-1", ExecutionStatus.STOPPED, None, None
    ),
    "pause": lambda runtime, _: pause(runtime, "flow", "e-1", False, NOTE),
    "resume": lambda runtime, _: resume(runtime, "flow", "e-1", NOTE),
    "redrive": lambda runtime, _: redrive(runtime, Redrive("flow", "e-1")),
    "skip": lambda runtime, _: skip(runtime, Skip("flow", "e-1", "asks", {})),
    "report": lambda runtime, token: report(runtime, token, {"kind": "reported", "output": {}}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_change_it_is_refused_with_a_way_out(any_redis: Redis, what: str) -> None:
    driver, tokens = _waiting(any_redis)
    record = driver.store.keys.record("flow:e-1")
    any_redis.hset(record, VERSION_FIELD, "99")
    before = driver.store.record("flow:e-1"), driver.history(), driver.standing()
    with pytest.raises(ConcurrentUpdateError, match=r"flow:e-1 .* version 99 .* use the penstock"):
        REFUSED[what](driver.runtime, tokens[0])
    assert (driver.store.record("flow:e-1"), driver.history(), driver.standing()) == before
    assert driver.describe().status == "Running"
    any_redis.hset(record, VERSION_FIELD, STATE_VERSION)
    report(driver.runtime, tokens[0], {"kind": "reported", "output": {}})
    assert driver.drive().status == "Succeeded"


def test_a_token_of_another_version_is_reported_later(any_redis: Redis) -> None:
    driver, tokens = _waiting(any_redis)
    record = driver.store.keys.record("flow:e-1")
    any_redis.hset(record, VERSION_FIELD, "99")
    driver.deploy("version: v1\ntype: flow\nsteps: [{type: pass, name: only}]\n", "told")
    start(driver.runtime, Start("told", "e-2", {}, {"token": tokens[0]}))
    assert driver.drive("e-2", "told").status == "Succeeded"
    any_redis.hset(record, VERSION_FIELD, STATE_VERSION)
    assert driver.drive().status == "Succeeded"


def _waiting(redis: Redis) -> tuple[Driver, list[str]]:
    """An execution that waits for the report of a token."""
    tokens: list[str] = []

    def ask(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        tokens.append(input["token"])
        return {}

    driver = Driver(redis, {"ask": ask})
    driver.deploy(FLOW)
    driver.start()
    while driver.step():
        pass
    return driver, tokens
