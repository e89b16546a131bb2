"""Starting: whom an execution is to report its end to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists, InvalidArgument
from engine.runtime import views
from engine.runtime.starting import Start, start
from tests.driving import Driver

PASS = {"type": "pass", "name": "only"}


def text_of(*steps: dict[str, Any]) -> str:
    return json.dumps({"version": "v1", "type": "flow", "steps": steps})


@pytest.mark.parametrize("token", ["x", "a token with blanks", "ß", 7, ["x"]])
def test_an_execution_is_not_started_for_a_token_that_is_none(any_redis: Redis, token: Any) -> None:
    driver = Driver(any_redis, {})
    driver.deploy(text_of(PASS))
    with pytest.raises(InvalidArgument, match="token"):
        start(driver.runtime, Start("flow", "e-1", {}, {"token": token}))
    with pytest.raises(ExecutionNotExists):
        views.describe(driver.runtime, "flow", "e-1")


def test_a_step_that_starts_an_execution_for_such_a_token_fails(any_redis: Redis) -> None:
    driver = Driver(any_redis, {})
    driver.deploy(text_of(PASS), "child")
    params = {"FlowName": "child", "CallbackFnFTaskToken": "x"}
    starts = {
        "type": "task",
        "name": "starts",
        "action": "fnf:StartExecution",
        "serviceParams": params,
    }
    driver.deploy(text_of(starts))
    driver.start()
    driver.drive()
    found = views.describe(driver.runtime, "flow", "e-1")
    assert found.status is ExecutionStatus.FAILED
    assert found.error == "fnf.InvalidArgument"
