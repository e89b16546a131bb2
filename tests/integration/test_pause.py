"""Pause and resume: nothing new begins, nothing is lost, and timers do what was asked of them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from redis import Redis

from engine.core.events import EventType
from engine.core.history import normalise
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionAlreadyCompleted, ExecutionNotExists
from engine.runtime.pausing import pause, resume
from engine.runtime.scripts import Verdict
from tests.driving import Driver
from tests.redriving import EACH, HEAD, NESTED, ROW, TROUBLES, WHO, Work, left_open
from tests.stores import without_ttl

BY_HAND = {str(EventType.EXECUTION_PAUSED), str(EventType.EXECUTION_RESUMED)}
ROWS = {"rows": [[1, 2, 3], [4, 5, 6], [7, 8]]}
WAIT = (
    HEAD
    + "- {type: wait, name: rests, duration: 600}\n- {type: task, name: one, resourceArn: count}\n"
)
SOON = HEAD + "- {type: wait, name: rests, duration: 30}\n"
LIMITED = (
    HEAD.replace("steps:", "timeoutSeconds: 100\nsteps:")
    + "- {type: wait, name: rests, duration: 600}\n"
)
ASKED = "resourceArn: asked, pattern: waitForCallback, timeoutSeconds: 50"
SLOW = HEAD + f"- {{type: task, name: one, {ASKED}}}\n"
RETRY = (
    HEAD
    + """
- type: task
  name: one
  resourceArn: fragile
  retry: [{errors: [Test.Broken], intervalSeconds: 300, maxAttempts: 2}]
"""
)


def held(driver: Driver, freeze: bool = False, name: str = "e-1", flow: str = "flow") -> None:
    pause(driver.runtime, flow, name, freeze, WHO)
    assert driver.describe(name, flow).status is ExecutionStatus.PAUSED


def on(driver: Driver) -> None:
    resume(driver.runtime, "flow", "e-1", {"by": "bob"})


def pause_call(driver: Driver) -> str:
    """The id of the call that paused the execution."""
    return driver.store.record("flow:e-1")["pause_call"]


def idle(driver: Driver) -> None:
    """Lets the workers take all there is to take."""
    for _ in range(200):
        if not driver.step():
            return
    raise AssertionError("the paused execution still runs")


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("seed", range(12))
def test_a_pause_at_any_moment_changes_no_output_and_no_history(
    redis_url: str, seed: int, trouble: str
) -> None:
    redis = Redis.from_url(redis_url, decode_responses=True)
    undisturbed = Work(set()).driver(redis)
    undisturbed.run(NESTED, ROWS)
    usual = normalise(undisturbed.history())
    redis.flushall()
    work = Work(set())
    driver = work.driver(redis, seed, TROUBLES[trouble])
    driver.deploy(NESTED)
    driver.start(ROWS)
    for _ in range(Random(seed).randrange(40)):
        if not driver.step() and not driver.describe().status.ended:
            driver.wait_for_next()
    if driver.describe().status.ended:
        return
    held(driver, freeze=seed % 2 == 0)
    idle(driver)
    for _ in range(5):  # lost leases and the like are seen to, and begin nothing
        driver.pass_time(20)
        driver.sweep()
        idle(driver)
    ran = sum(work.ran.values())
    idle(driver)
    assert sum(work.ran.values()) == ran
    on(driver)
    ended = driver.drive()
    assert ended.output == {"done": [1, 2, 3, 4, 5, 6, 7, 8]}, (ended.error, ended.cause)
    if trouble in ("quiet", "disorder"):
        seen = normalise(e for e in driver.history() if str(e.type) not in BY_HAND)
        assert seen == usual
    assert left_open(driver) == []
    assert without_ttl(redis) == []


def test_who_and_why_stand_in_the_history(any_redis: Redis) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(WAIT)
    driver.start()
    driver.step()
    held(driver)
    assert driver.scripts.again("pause").applied
    held(driver)  # twice is once
    on(driver)
    assert driver.scripts.again("pause", call=pause_call(driver)).applied
    assert driver.scripts.again("resume").applied
    assert driver.scripts.again("resume", call="another").verdict is Verdict.REPEATED
    on(driver)
    told = [(str(e.type), e.detail) for e in driver.history() if str(e.type) in BY_HAND]
    assert told == [
        ("ExecutionPaused", WHO | {"timers": "run on"}),
        ("ExecutionResumed", {"by": "bob"}),
    ]


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize(("text", "left_s"), [(WAIT, 600), (SOON, 30)], ids=["timer", "message"])
def test_a_wait_runs_on_or_stands_still(
    any_redis: Redis, freeze: bool, text: str, left_s: int
) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(text)
    driver.start()
    driver.step()
    driver.pass_time(10)
    held(driver, freeze)
    for _ in range(3):
        driver.pass_time(500)
        driver.sweep()
        idle(driver)
    on(driver)
    driver.step()
    exited = [e for e in driver.history() if e.type is EventType.STEP_EXITED]
    assert bool(exited) is not freeze
    if freeze:
        driver.collect()
        state = driver.store.state("flow:e-1", "")
        assert state is not None
        assert (state["due"] - driver.now_ms()) / 1000 == pytest.approx(left_s - 10, abs=1)
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


@pytest.mark.parametrize("freeze", [False, True])
def test_the_time_limit_of_a_flow_runs_on_or_stands_still(any_redis: Redis, freeze: bool) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(LIMITED)
    driver.start()
    driver.step()
    driver.pass_time(60)
    held(driver, freeze)
    driver.pass_time(60)
    driver.sweep()
    expected = ExecutionStatus.PAUSED if freeze else ExecutionStatus.TIMED_OUT
    assert driver.describe().status is expected
    if freeze:
        on(driver)
        driver.pass_time(30)
        driver.sweep()
        assert driver.describe().status is ExecutionStatus.RUNNING
        driver.pass_time(11)
        driver.sweep()
        assert driver.describe().status is ExecutionStatus.TIMED_OUT
    assert without_ttl(any_redis) == []


@pytest.mark.parametrize("freeze", [False, True])
def test_the_time_limit_of_a_task_runs_on_or_stands_still(any_redis: Redis, freeze: bool) -> None:
    driver = Driver(any_redis, {"asked": lambda input, ctx: {}})
    driver.deploy(SLOW)
    driver.start()
    idle(driver)
    driver.pass_time(40)
    held(driver, freeze)
    driver.pass_time(100)
    driver.sweep()
    on(driver)
    idle(driver)
    assert driver.describe().status is (
        ExecutionStatus.RUNNING if freeze else ExecutionStatus.FAILED
    )
    if freeze:
        driver.pass_time(11)
        driver.sweep()
        assert driver.drive().error == "FnF.TaskTimeout"


@pytest.mark.parametrize("freeze", [False, True])
def test_a_retry_that_waits_comes_after_the_pause(any_redis: Redis, freeze: bool) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.deploy(RETRY)
    driver.start({"item": "x"})
    idle(driver)
    held(driver, freeze)
    work.broken = set()
    driver.pass_time(400)
    driver.sweep()
    idle(driver)
    assert work.ran["x"] == 1
    on(driver)
    assert driver.drive().output == {"done": "x"}
    assert work.ran["x"] == 2


def test_children_are_paused_and_resumed_with_their_parent(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(WAIT, "child")
    driver.deploy(
        HEAD + "- {type: task, name: calls, resourceArn: acs:fnf:::flow/child, pattern: sync}\n"
    )
    driver.start()
    while driver.step():
        pass
    names: Any = any_redis.zrange(driver.store.keys.executions_of("child"), 0, -1)
    child = str(names[0]).partition(":")[2]
    held(driver, freeze=True)
    assert driver.describe(child, "child").status is ExecutionStatus.PAUSED
    on(driver)
    assert driver.describe(child, "child").status is ExecutionStatus.RUNNING
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_a_child_that_was_paused_for_itself_stays_so(any_redis: Redis) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(WAIT, "child")
    params = "serviceParams: {ExecutionName: c, Input: $}"
    task = f"resourceArn: acs:fnf:::flow/child, pattern: sync, {params}"
    driver.deploy(HEAD + f"- {{type: task, name: calls, {task}}}\n")
    driver.start()
    while driver.step():
        pass
    held(driver, name="c", flow="child")
    held(driver)
    on(driver)
    assert driver.describe("c", "child").status is ExecutionStatus.PAUSED


@pytest.mark.parametrize("seed", range(8))
def test_a_resume_whose_caller_dies_is_completed_by_a_sweeper(redis_url: str, seed: int) -> None:
    redis = Redis.from_url(redis_url, decode_responses=True)
    driver = Work(set()).driver(redis, seed)
    driver.deploy(EACH)
    driver.start({"items": list(range(12))})
    for _ in range(6):
        driver.step()
    held(driver, freeze=True)
    idle(driver)
    note = {"note": {"by": "bob"}}
    driver.store.verb("resume", "flow:e-1", resuming=note, net_ms=5000)  # and no more than that
    if seed % 2:
        rows = [["ExecutionResumed", "", "", "", "{}"]]
        driver.store.verb("resume", "flow:e-1", events=rows, pause=pause_call(driver))
    driver.pass_time(6)
    driver.sweep()
    assert driver.drive().output == {"done": list(range(12))}
    assert without_ttl(redis) == []


def test_a_paused_execution_is_stopped_as_any_other(any_redis: Redis) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(EACH)
    driver.start({"items": [1, 2, 3]})
    driver.step()
    held(driver)
    driver.stop()
    assert driver.describe().status is ExecutionStatus.STOPPED
    on(driver)
    assert driver.describe().status is ExecutionStatus.STOPPED
    assert left_open(driver) == []


def test_what_has_ended_or_is_not_there_is_not_paused(any_redis: Redis) -> None:
    driver = Work(set()).driver(any_redis)
    driver.run(ROW, {"item": "x"})
    with pytest.raises(ExecutionAlreadyCompleted):
        held(driver)
    with pytest.raises(ExecutionNotExists):
        held(driver, name="e-2")
    with pytest.raises(ExecutionNotExists):
        resume(driver.runtime, "flow", "e-2", WHO)


def test_many_paused_executions_cost_no_polling(redis_url: str) -> None:
    redis = Redis.from_url(redis_url, decode_responses=True)
    driver = Work(set()).driver(redis)
    driver.deploy(EACH)
    for number in range(100):
        driver.start({"items": [1, 2, 3]}, name=f"e-{number}")
    for number in range(100):
        held(driver, freeze=True, name=f"e-{number}")
    idle(driver)
    for _ in range(3):
        driver.pass_time(60)
        driver.sweep()
    calls = driver.scripts.calls.total()
    for _ in range(10):
        driver.pass_time(60)
        driver.sweep()
    assert driver.scripts.calls.total() == calls
    assert redis.zcard(driver.store.keys.dispatch) == 0


def test_what_is_paused_before_its_first_step_goes_on_with_it(any_redis: Redis) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(WAIT)
    driver.start()
    held(driver)
    idle(driver)
    on(driver)
    assert driver.drive().status is ExecutionStatus.SUCCEEDED
    assert [(str(e.type), e.schedule_event_id) for e in driver.history()[:3]] == [
        ("ExecutionStarted", 0),
        ("ExecutionPaused", 1),
        ("ExecutionResumed", 2),
    ]
