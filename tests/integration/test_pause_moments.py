"""Pauses and resumes that meet something at its worst moment: nothing stands still for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis

from engine.core.events import EventType
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionAlreadyCompleted
from engine.runtime.fleet import WorkerInfo
from engine.runtime.pausing import go_on, pause, resume
from engine.runtime.scripts import Verdict
from tests.driving import Driver
from tests.redriving import EACH, HEAD, WHO, Work, left_open
from tests.stores import without_ttl

IDENTITY = "flow:e-1"
HELD = (EventType.EXECUTION_PAUSED, EventType.EXECUTION_RESUMED)
LONG = HEAD + "- {type: wait, name: rests, duration: 600}\n"
SHORT = HEAD + "- {type: wait, name: rests, duration: 50}\n"
ASKED = (
    HEAD
    + """
- type: task
  name: one
  resourceArn: asked
  pattern: waitForCallback
  timeoutSeconds: 50
"""
)
SEARCHED = HEAD + "- {type: task, name: one, resourceArn: nobodys}\n"


class Gone(BaseException):
    """A process has died; nothing catches it."""


def begun(any_redis: Redis, text: str, passed_s: float = 0) -> Driver:
    """An execution that has gone as far as it can, some time ago."""
    driver = Driver(any_redis, {"asked": lambda input, ctx: {}})
    driver.deploy(text)
    driver.start()
    while driver.step():
        pass
    driver.pass_time(passed_s)
    return driver


def half_resumed(driver: Driver, *, thawed: bool) -> None:
    """What a caller leaves that dies in the middle of a resume."""
    driver.store.verb("resume", IDENTITY, resuming={"note": WHO}, net_ms=5000)
    if thawed:
        driver.store.verb("thaw", IDENTITY, frames=[""], pause=paused_by(driver))


def paused_by(driver: Driver) -> str:
    return driver.store.record(IDENTITY)["pause_call"]


def left_s(driver: Driver, what: str = "due") -> float:
    """What is left of a frozen time."""
    state = driver.store.state(IDENTITY, "") or {}
    return (float(state[what]) - driver.now_ms()) / 1000


@pytest.mark.parametrize("thawed", [False, True])
@pytest.mark.parametrize(("text", "s"), [(LONG, 598), (ASKED, 48)], ids=["wait", "limit"])
def test_a_timer_that_comes_due_while_nobody_completes_a_resume_still_fires(
    any_redis: Redis, thawed: bool, text: str, s: float
) -> None:
    driver = begun(any_redis, text, s)
    pause(driver.runtime, "flow", "e-1", True, WHO)
    driver.pass_time(100)
    driver.sweep()
    half_resumed(driver, thawed=thawed)
    driver.pass_time(3)
    driver.sweep()  # due by now, and not resumed yet
    assert driver.describe().status is ExecutionStatus.PAUSED
    driver.pass_time(3)
    driver.sweep()
    assert driver.describe().status is not ExecutionStatus.PAUSED
    assert driver.drive().status.ended
    assert without_ttl(any_redis) == []


def test_a_message_that_comes_before_its_moved_time_does_not_end_a_wait(any_redis: Redis) -> None:
    driver = begun(any_redis, SHORT, 1)
    (early,) = driver.collect()
    pause(driver.runtime, "flow", "e-1", True, WHO)
    driver.pass_time(40)
    resume(driver.runtime, "flow", "e-1", WHO)
    assert left_s(driver) == pytest.approx(49, abs=1)
    # As a worker has them: a message that is too early is gone, and its deadline sees to it.
    for _ in range(9):
        driver.pass_time(5)
        driver.sweep()
        for message in driver.collect()[:]:
            driver.deliver(message)
        driver.hand.clear()
    assert driver.deliver(early) is Verdict.STALE
    assert not [e for e in driver.history() if e.type is EventType.STEP_EXITED]
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_who_completes_a_resume_late_does_not_end_the_next_pause(any_redis: Redis) -> None:
    driver = begun(any_redis, LONG)
    pause(driver.runtime, "flow", "e-1", True, WHO)
    late = driver.store.record(IDENTITY)["pause_call"]
    resume(driver.runtime, "flow", "e-1", WHO)
    pause(driver.runtime, "flow", "e-1", True, WHO)
    rows = [["ExecutionResumed", "", "", "", "{}"]]
    answer = driver.store.verb("resume", IDENTITY, events=rows, pause=late)
    assert answer.verdict is Verdict.REPEATED
    assert driver.describe().status is ExecutionStatus.PAUSED
    told = [e.type for e in driver.history()]
    assert told.count(EventType.EXECUTION_RESUMED) == 1


def test_a_report_during_a_resume_and_its_completion_by_another_move_no_limit_twice(
    any_redis: Redis,
) -> None:
    driver = Driver(any_redis, {"asked": lambda input, ctx: halfway()})
    driver.deploy(ASKED)
    driver.start()

    def halfway() -> dict[str, object]:
        """The task still runs when it is paused, and returns in the middle of the resume."""
        driver.pass_time(10)
        pause(driver.runtime, "flow", "e-1", True, WHO)
        driver.pass_time(1000)
        half_resumed(driver, thawed=True)
        return {}

    while driver.step():
        pass
    go_on(driver.runtime, IDENTITY)
    assert left_s(driver, "limit") == pytest.approx(40, abs=1)
    assert driver.describe().status is ExecutionStatus.RUNNING


@pytest.mark.parametrize("freeze", [False, True])
def test_the_look_for_a_worker_begins_anew_after_a_pause(any_redis: Redis, freeze: bool) -> None:
    driver = begun(any_redis, SEARCHED)
    pause(driver.runtime, "flow", "e-1", freeze, WHO)
    for _ in range(5):
        driver.pass_time(1)
        driver.sweep()
        while driver.step():
            pass
    driver.pass_time(3600)
    driver.sweep()
    resume(driver.runtime, "flow", "e-1", WHO)
    while driver.step():
        pass
    assert driver.describe().status is ExecutionStatus.RUNNING
    queue = driver.store.settings.queue
    driver.runtime.fleet.announce(WorkerInfo("w2", 1, {"nobodys": (queue, None)}))
    driver.runner.functions = {"nobodys": lambda input, ctx: {}}
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def with_child(redis: Redis, delivered: bool = True) -> Driver:
    """An execution that waits for the end of its child, child/c, or is about to start it."""
    driver = Work(set()).driver(redis)
    driver.deploy(LONG, "child")
    params = "serviceParams: {ExecutionName: c, Input: $}"
    task = f"resourceArn: acs:fnf:::flow/child, pattern: sync, {params}"
    driver.deploy(HEAD + f"- {{type: task, name: calls, {task}}}\n")
    driver.start()
    driver.step()
    while delivered and driver.step():
        pass
    return driver


def test_children_are_paused_though_the_caller_dies_before(any_redis: Redis) -> None:
    driver = with_child(any_redis)
    dies_after(driver, 1, lambda: pause(driver.runtime, "flow", "e-1", False, WHO))
    assert driver.describe("c", "child").status is ExecutionStatus.RUNNING
    driver.pass_time(6)
    driver.sweep()
    assert driver.describe("c", "child").status is ExecutionStatus.PAUSED
    driver.pass_time(6)
    assert driver.sweep() == 0
    resume(driver.runtime, "flow", "e-1", WHO)
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_a_child_is_paused_though_the_worker_that_started_it_dies(any_redis: Redis) -> None:
    driver = with_child(any_redis, delivered=False)
    usual, calls = driver.scripts.watch, driver.scripts.calls

    def watch() -> None:
        if calls["expect"] and "paused" not in driver.store.record(IDENTITY):
            driver.scripts.watch = usual
            pause(driver.runtime, "flow", "e-1", False, WHO)  # the child is not there yet
            driver.scripts.watch = watch
        if calls["expect"] and (driver.store.state(IDENTITY, "") or {}).get("st") == "WAITING":
            raise Gone

    driver.scripts.watch = watch
    with pytest.raises(Gone):
        driver.step()
    driver.scripts.watch = usual
    assert driver.describe("c", "child").status is ExecutionStatus.RUNNING
    driver.pass_time(6)
    driver.sweep()
    assert driver.describe("c", "child").status is ExecutionStatus.PAUSED


def dies_after(driver: Driver, calls: int, call: Callable[[], None]) -> None:
    """Makes a call whose process dies after so many scripts, if it is not through before."""

    first = driver.scripts.calls.total()

    def watch() -> None:
        if driver.scripts.calls.total() - first >= calls:
            raise Gone

    usual, driver.scripts.watch = driver.scripts.watch, watch
    with suppress(Gone):
        call()
    driver.scripts.watch = usual


PARTS = (
    HEAD
    + """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps:
    - {type: wait, name: rests, duration: $.item}
    - type: task
      name: second
      resourceArn: fragile
      outputMappings: [{target: done, source: $input.item}]
  outputMappings: [{target: done, source: "$local[*].done"}]
- {type: task, name: calls, resourceArn: acs:fnf:::flow/child, pattern: sync}
"""
)
TIMES = {"items": [20, 200, 20, 200, 20]}


@pytest.mark.parametrize("steps", [3, 6, 14, 22])
@pytest.mark.parametrize("calls", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("freeze", [False, True])
def test_a_pause_and_a_resume_survive_the_death_of_their_callers(
    redis_url: str, freeze: bool, calls: int, steps: int
) -> None:
    driver = Work(set()).driver(Redis.from_url(redis_url, decode_responses=True), seed=calls)
    driver.deploy(LONG, "child")
    driver.deploy(PARTS)
    driver.start(TIMES)
    for _ in range(steps):
        if not driver.step():
            driver.wait_for_next()
    dies_after(driver, calls, lambda: pause(driver.runtime, "flow", "e-1", freeze, WHO))
    for _ in range(3):
        driver.pass_time(7)
        driver.sweep()
        while driver.step():
            pass
    assert driver.describe().status is ExecutionStatus.PAUSED
    dies_after(driver, calls, lambda: resume(driver.runtime, "flow", "e-1", WHO))
    driver.pass_time(3)
    driver.sweep()
    ended = driver.drive()
    assert ended.output == {"done": TIMES["items"]}, (ended.error, ended.cause)
    told = [e.type for e in driver.history()]
    assert told.count(EventType.EXECUTION_PAUSED) == told.count(EventType.EXECUTION_RESUMED) == 1
    assert left_open(driver) == []
    assert without_ttl(driver.redis) == []


@pytest.mark.parametrize("freeze", [False, True])
def test_200_paused_executions_cost_redis_not_one_command(redis_url: str, freeze: bool) -> None:
    redis = Redis.from_url(redis_url, decode_responses=True)
    driver = Work(set()).driver(redis)
    driver.deploy(LONG)
    driver.deploy(EACH, "each")
    idle = commands_of_sweeping(driver)
    for number in range(100):
        driver.start(name=f"e-{number}")
        driver.start({"items": [1, 2, 3]}, f"e-{number}", "each")
    for _ in range(150):
        driver.step()
    for number in range(100):
        for flow in ("flow", "each"):
            pause(driver.runtime, flow, f"e-{number}", freeze, WHO)
    while driver.step():
        pass
    for _ in range(3):  # what was lost, and what was due, is found to be held
        driver.pass_time(300)
        driver.sweep()
        while driver.step():
            pass
    assert commands_of_sweeping(driver) == idle
    assert redis.zcard(driver.store.keys.dispatch) == redis.zcard(driver.store.keys.timers) == 0


def commands_of_sweeping(driver: Driver) -> int:
    """The commands that Redis is sent, and runs in scripts, by an hour of looks."""
    driver.redis.config_resetstat()
    for _ in range(10):
        driver.sweep()
    found: Any = driver.redis.info("commandstats")
    return sum(int(of["calls"]) for name, of in found.items() if name != "cmdstat_info")


def test_a_pause_that_meets_a_resume_on_its_way_is_the_next_one(any_redis: Redis) -> None:
    driver = begun(any_redis, LONG)
    pause(driver.runtime, "flow", "e-1", True, WHO)
    half_resumed(driver, thawed=False)
    pause(driver.runtime, "flow", "e-1", False, WHO)
    assert driver.describe().status is ExecutionStatus.PAUSED
    told = [e.detail.get("timers") for e in driver.history() if e.type in HELD]
    assert told == ["freeze", None, "run on"]


def test_a_child_that_is_paused_for_itself_afterwards_stays_so(any_redis: Redis) -> None:
    driver = with_child(any_redis)
    pause(driver.runtime, "flow", "e-1", False, WHO)
    pause(driver.runtime, "child", "c", False, WHO)
    resume(driver.runtime, "flow", "e-1", WHO)
    assert driver.describe("c", "child").status is ExecutionStatus.PAUSED
    resume(driver.runtime, "child", "c", WHO)
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_what_is_being_stopped_is_neither_paused_nor_resumed(any_redis: Redis) -> None:
    driver = begun(any_redis, LONG)
    pause(driver.runtime, "flow", "e-1", True, WHO)
    ending = '{"status": "Stopped", "error": null, "cause": null, "by": "ann"}'
    driver.store.verb("ending", IDENTITY, ending=ending, net_ms=5000)
    resume(driver.runtime, "flow", "e-1", WHO)
    with pytest.raises(ExecutionAlreadyCompleted):
        pause(driver.runtime, "flow", "e-1", True, WHO)
    driver.pass_time(6)
    driver.sweep()
    assert driver.describe().status is ExecutionStatus.STOPPED
    assert EventType.EXECUTION_RESUMED not in [e.type for e in driver.history()]
    record = driver.store.record(IDENTITY)
    assert not {"paused", "resuming", "ending"} & record.keys()
    assert any_redis.zcard(driver.store.keys.timers) == 0
