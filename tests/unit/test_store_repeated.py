"""Every call of the store may come twice: a lost reply is no reason to do a thing again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from redis import Redis

from engine.core.history import normalise
from engine.runtime.claims import Holder
from engine.runtime.scripts import Answer, Scripts, Verdict
from engine.simulate.simulator import simulate
from tests.driven import message_of
from tests.driving import Driver, Trouble
from tests.fundamentals.invariants import broken
from tests.properties.flows import TASKS
from tests.properties.test_runtime_properties import graph_of

DONE_BEFORE = {Verdict.REPEATED, Verdict.STALE, Verdict.MISSING, Verdict.WAITING}

EVERYTHING = {
    "version": "v1",
    "type": "flow",
    "steps": [
        {
            "type": "foreach",
            "name": "sort",
            "iterationMapping": {"collection": "$.letters", "item": "letter"},
            "concurrency": 3,
            "steps": [
                {"type": "task", "name": "weigh", "resourceArn": "ok"},
                {"type": "wait", "name": "dry", "duration": 2},
                {
                    "type": "task",
                    "name": "stamp",
                    "resourceArn": "flaky",
                    "retry": [{"errors": ["Test.Busy"]}],
                },
            ],
            "outputMappings": [{"target": "sorted", "source": "$local"}],
        },
        {"type": "wait", "name": "night", "duration": 86400},
        {
            "type": "parallel",
            "name": "both",
            "branches": [
                {"steps": [{"type": "task", "name": "left", "resourceArn": "ok"}]},
                {"steps": [{"type": "pass", "name": "right"}]},
            ],
        },
    ],
}
INPUT = {"letters": list("abcdefg")}
TASK = {"type": "task", "name": "weigh", "resourceArn": "ok"}
ONE_TASK = json.dumps({"version": "v1", "type": "flow", "steps": [TASK]})


class StutteringScripts(Scripts):
    """Makes each call three times: as it is, the same again, and another of the same transition."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.verbs: set[str] = set()
        self.other: list[tuple[str, Verdict]] = []

    def call(self, verb: str, keys: Sequence[str], order: dict[str, Any], *more: str) -> Answer:
        """As the verbs'."""
        self.verbs.add(verb)
        first = super().call(verb, keys, order, *more)
        repeated = super().call(verb, keys, order, *more)
        assert _timeless(verb, repeated) == _timeless(verb, first), verb
        # Another lane takes other items; what is put or taken away twice is as it was after once.
        if first.applied and verb not in ("lane", "put", "abort", "forget"):
            another = super().call(verb, keys, order | {"call": uuid.uuid4().hex}, *more)
            self.other.append((verb, another.verdict))
        return first


def _timeless(verb: str, answer: Answer) -> Any:
    """An answer without what tells the time; the order in a claim's state is no matter."""
    if verb != "claim" or not answer.applied:
        return answer
    document, state, *others, _ = answer.values
    return document, json.loads(state), others


def test_a_flow_whose_every_call_comes_three_times_runs_as_ever(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS, trouble=Trouble(twice=0.2, lost=0.1), seed=3)
    scripts = StutteringScripts(any_redis)
    driver.store.scripts = scripts
    ended = driver.run(json.dumps(EVERYTHING), INPUT)
    expected = simulate(
        graph_of(EVERYTHING), INPUT, tasks=TASKS, flow_name="flow", execution_name="e-1"
    )
    assert (ended.status, ended.output) == (expected.status, expected.output)
    assert normalise(driver.history()) == normalise(expected.history)
    verbs = {"start", "claim", "settle", "fork", "lane", "item", "wake", "finish", "resend"}
    assert verbs <= scripts.verbs
    assert [pair for pair in scripts.other if pair[1] not in DONE_BEFORE] == []


def test_a_flow_that_is_stopped_twice_over_ends_once(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS, seed=5)
    scripts = StutteringScripts(any_redis)
    driver.store.scripts = scripts
    driver.deploy(json.dumps(EVERYTHING))
    driver.start(INPUT)
    for _ in range(5):
        driver.step()
    driver.stop()
    driver.drive()
    assert {"ending", "abort", "finish"} <= scripts.verbs
    assert broken(driver.history()) == []
    assert [pair for pair in scripts.other if pair[1] not in DONE_BEFORE] == []


@pytest.mark.parametrize("verb", ["settle", "wake"])
def test_a_call_is_answered_again_after_the_frame_was_claimed(any_redis: Redis, verb: str) -> None:
    """The reply is lost, a worker takes the new message, and only then the call comes again."""
    driver = Driver(any_redis, TASKS)
    night = {"type": "wait", "name": "night", "duration": 86400}
    steps = {"settle": [TASK], "wake": [night, TASK]}[verb]
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": steps}))
    driver.start()
    driver.step()
    if verb == "wake":
        driver.wait_for_next()
    (message,) = driver.collect()
    first = driver.scripts.again(verb)
    assert first.applied
    driver.store.claim(message.pointer, driver.holder_of(message))
    assert driver.scripts.again(verb) == first


def test_a_start_is_answered_again_when_the_execution_has_ended(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS)
    driver.run(ONE_TASK)
    assert driver.scripts.again("start").verdict is Verdict.APPLIED
    another = driver.scripts.again("start", call="another")
    assert another == Answer(Verdict.REPEATED, ("Succeeded",))
    assert any_redis.llen(driver.store.keys.queue) == 0


def test_a_batch_that_is_taken_again_by_the_same_call_is_the_same_batch(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS, slots=1)
    driver.deploy(json.dumps(EVERYTHING))
    driver.start(INPUT)
    driver.step()
    lane = message_of(str(any_redis.rpop(driver.store.keys.queue)))
    batch = driver.store.lane(lane.pointer, driver.holder_of(lane), 3, 1)
    first = driver.scripts.again("lane")
    assert first == driver.scripts.again("lane")
    assert [int(value) for value in first.values[:2]] == [0, 3]
    other = driver.store.lane(lane.pointer, Holder("w2", lane.id), 3, 1)
    assert not isinstance(batch, Verdict) and not isinstance(other, Verdict)
    assert (batch.first, batch.stop, other.first, other.stop) == (0, 3, 3, 5)
