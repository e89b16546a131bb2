"""Approvals: a token's task as an approver sees it, and links that are good for a while."""

from __future__ import annotations

import pytest
from redis import Redis

from engine.errors import InvalidArgument, TaskAlreadyCompleted
from engine.runtime.approvals import approval_link, describe_task, token_of_link
from engine.runtime.reports import report
from tests.driving import Driver

FLOW = """
version: v1
type: flow
steps:
- type: task
  name: approves
  resourceArn: ask
  pattern: waitForCallback
  inputMappings: [{target: sum, source: $input.sum}, {target: token, source: $context.task.token}]
"""


def waiting(redis: Redis) -> tuple[Driver, str]:
    """A driver whose execution waits for a decision, and the token that its task was given."""
    tokens: list[str] = []
    driver = Driver(redis, {"ask": lambda input, ctx: tokens.append(input["token"])})
    driver.deploy(FLOW)
    driver.start({"sum": 250})
    while driver.step():
        pass
    return driver, tokens[0]


def test_a_token_tells_what_is_to_be_decided_until_it_is(any_redis: Redis) -> None:
    driver, token = waiting(any_redis)
    task = describe_task(driver.runtime, token)
    assert (task.flow_name, task.execution_name, task.step_name) == ("flow", "e-1", "approves")
    assert task.waits and task.input["sum"] == 250
    report(driver.runtime, token, {"kind": "reported", "output": {}})
    after = describe_task(driver.runtime, token)
    assert not after.waits and after.input == {}
    driver.drive()
    assert not describe_task(driver.runtime, token).waits


def test_a_link_leads_to_its_token_for_its_time_and_is_none_itself(any_redis: Redis) -> None:
    driver, token = waiting(any_redis)
    link = approval_link(driver.runtime, token)
    assert token_of_link(driver.runtime, link) == token
    for use in (describe_task, token_of_link):
        wrong = link if use is describe_task else token
        with pytest.raises(InvalidArgument):
            use(driver.runtime, wrong)
    late = approval_link(driver.runtime, token, valid_s=-1)
    with pytest.raises(InvalidArgument, match="time is over"):
        token_of_link(driver.runtime, late)
    forged = link[:-2] + ("AA" if link[-2:] != "AA" else "BB")
    with pytest.raises(InvalidArgument):
        token_of_link(driver.runtime, forged)
    report(driver.runtime, token_of_link(driver.runtime, link), {"kind": "reported", "output": {}})
    with pytest.raises(TaskAlreadyCompleted):
        report(driver.runtime, token, {"kind": "reported", "output": {}})
