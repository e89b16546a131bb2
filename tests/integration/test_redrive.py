"""Redrive: an execution goes on after its end, and what has succeeded is not done again."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from redis import Redis

from engine.cli.progress import Progress
from engine.core.checks import load_flow
from engine.core.events import EventType
from engine.core.states import ExecutionStatus
from engine.errors import InvalidArgument
from engine.runtime.claims import Claim
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.scripts import Verdict
from tests.redriving import (
    EACH,
    HEAD,
    NESTED,
    ROW,
    TOLERANT,
    TROUBLES,
    WHO,
    Work,
    again,
    left_open,
    succeeded_twice,
)
from tests.stores import without_ttl


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_items_that_failed_or_were_cut_off_run_again_and_no_others(
    redis_url: str, trouble: str, seed: int
) -> None:
    redis = Redis.from_url(redis_url, decode_responses=True)
    random = Random(seed)
    items = list(range(30))
    work = Work(set(random.sample(items, 3)))
    driver = work.driver(redis, seed, TROUBLES[trouble])
    assert driver.run(EACH, {"items": items}).error == "Test.Broken"
    done = {
        e.detail["output"]["done"]
        for e in driver.history()
        if e.detail.get("output", {}).get("done") is not None
    }
    before = Counter(work.ran)
    work.broken = set()
    ended = again(driver)
    assert ended.output == {"done": items}, (ended.error, ended.cause)
    if trouble == "quiet":
        assert {item for item in items if work.ran[item] == before[item]} == done
    assert succeeded_twice(driver) == []
    assert left_open(driver) == []
    ids = [event.event_id for event in driver.history()]
    assert ids == list(range(1, len(ids) + 1))
    assert without_ttl(redis) == []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_redrive_goes_on_inside_nested_forks(redis_url: str, trouble: str, seed: int) -> None:
    redis = Redis.from_url(redis_url, decode_responses=True)
    rows = [[10 * row + n for n in range(5)] for row in range(4)]
    work = Work(set(Random(seed).sample(sum(rows, []), 4)))
    driver = work.driver(redis, seed, TROUBLES[trouble])
    ended = driver.run(NESTED, {"rows": rows})
    for _ in range(10):
        if ended.status is ExecutionStatus.SUCCEEDED:
            break
        assert ended.error == "Test.Broken"
        work.broken.discard(int(str(ended.cause).removeprefix("item ")))
        ended = again(driver)
    assert ended.output == {"done": sum(rows, [])}, (ended.error, ended.cause)
    assert left_open(driver) == []
    assert all(len(keys) == 1 for keys in work.keys.values()), "each item keeps its key"
    assert succeeded_twice(driver) == []


def test_three_failed_items_of_500_run_again_and_only_these(any_redis: Redis) -> None:
    items = list(range(500))
    work = Work({497, 498, 499})
    driver = work.driver(any_redis)
    assert driver.run(TOLERANT, {"items": items}).error == "FnF.ToleranceExceeded"
    before = Counter(work.ran)
    work.broken = set()
    assert again(driver).output == {"done": items}
    assert set(work.ran - before) == {497, 498, 499}


def test_a_foreach_whose_failures_were_tolerated_runs_the_failed_items_again_from_it(
    any_redis: Redis,
) -> None:
    work = Work({3, 7, "end"})
    driver = work.driver(any_redis)
    mapping = "inputMappings: [{target: item, source: end}]"
    end = f"- {{type: task, name: end, resourceArn: fragile, {mapping}}}\n"
    assert driver.run(TOLERANT + end, {"items": list(range(10))}).error == "Test.Broken"
    before = Counter(work.ran)
    work.broken = set()
    ended = again(driver, from_step="each")
    assert ended.status is ExecutionStatus.SUCCEEDED
    assert set(work.ran - before) == {3, 7, "end"}
    assert left_open(driver) == []


def test_all_items_run_again_when_that_is_asked_for(any_redis: Redis) -> None:
    work = Work({9})
    driver = work.driver(any_redis)
    driver.run(EACH, {"items": list(range(10))})
    before, work.broken = Counter(work.ran), set()
    assert again(driver, from_step="each", items="all").output == {"done": list(range(10))}
    assert set(range(10)) < set(work.ran - before)


def test_what_was_stopped_goes_on_where_it_was(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(NESTED)
    driver.start({"rows": [[1, 2, 3], [4, 5, 6]]})
    for _ in range(6):
        driver.step()
    driver.stop()
    assert driver.describe().status is ExecutionStatus.STOPPED
    before = Counter(work.ran)
    ended = again(driver)
    assert ended.output == {"done": [1, 2, 3, 4, 5, 6]}
    assert (ended.error, ended.cause) == (None, None)
    assert succeeded_twice(driver) == [] and before
    assert left_open(driver) == []


@pytest.mark.parametrize("step", [None, "two"])
def test_what_was_stopped_before_its_first_step_starts_once(
    any_redis: Redis, step: str | None
) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(ROW)
    driver.start({"item": 1})
    driver.stop()
    assert again(driver, from_step=step).status is ExecutionStatus.SUCCEEDED
    history = driver.history()
    assert [(str(e.type), e.schedule_event_id) for e in history[:3]] == [
        ("ExecutionStarted", 0),
        ("ExecutionStopped", 1),
        ("ExecutionRedriven", 2),
    ]
    entered = [e.step_name for e in history if e.type is EventType.STEP_ENTERED]
    assert entered == (["one", "two", "three"] if step is None else ["two", "three"])


def test_a_named_step_gets_the_local_that_it_had(any_redis: Redis) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.run(ROW, {"item": "x"})
    work.broken = set()
    assert again(driver, from_step="two").status is ExecutionStatus.SUCCEEDED
    assert [given for given in work.inputs if "seen" in given] == [{"item": "x", "seen": "one"}] * 2
    assert work.ran["one "] == 1
    assert left_open(driver) == []


def test_who_and_why_stand_in_the_history_and_attempts_are_counted_on(any_redis: Redis) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.run(ROW, {"item": "x"})
    work.broken = set()
    again(driver)
    (told,) = [e.detail for e in driver.history() if e.type is EventType.EXECUTION_REDRIVEN]
    assert told == WHO | {"definition": "same"}
    attempts = [
        e.detail["attempt"]
        for e in driver.history()
        if e.type is EventType.TASK_SCHEDULED and e.step_name == "three"
    ]
    assert attempts == [1, 2]


def test_the_latest_definition_may_go_on_if_it_has_the_step(any_redis: Redis) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.run(ROW, {"item": "x"})
    driver.runtime.definitions.update("flow", ROW.replace("name: three", "name: other"), None)
    with pytest.raises(InvalidArgument, match="'three'"):
        again(driver, definition="latest")
    newer = ROW + "    outputMappings: [{target: new, source: true}]\n"
    newer = newer.replace(
        "- {type: task, name: three, resourceArn: fragile}\n",
        "- type: task\n  name: three\n  resourceArn: count\n",
    ).replace("    outputMappings: [{target: new", "  outputMappings: [{target: new")
    driver.runtime.definitions.update("flow", newer, None)
    assert again(driver, definition="latest").output == {"seen": "two", "new": True}


def test_a_redrive_is_refused_where_there_is_nothing_to_do(any_redis: Redis) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.deploy(ROW)
    driver.start({"item": "x"})
    with pytest.raises(InvalidArgument, match="is Running"):
        again(driver)
    driver.drive()
    with pytest.raises(InvalidArgument, match="it has one, two, three"):
        again(driver, from_step="four")
    work.broken = set()
    assert again(driver).status is ExecutionStatus.SUCCEEDED
    with pytest.raises(InvalidArgument, match="succeeded"):
        again(driver)


def test_a_redrive_that_is_repeated_is_one(any_redis: Redis) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.run(ROW, {"item": "x"})
    redrive(driver.runtime, Redrive("flow", "e-1"))
    assert driver.scripts.again("redrive").applied
    assert redrive(driver.runtime, Redrive("flow", "e-1")) is ExecutionStatus.RUNNING
    work.broken = set()
    assert driver.drive().status is ExecutionStatus.SUCCEEDED
    assert driver.store.record("flow:e-1")["redrives"] == "1"


@pytest.mark.parametrize("named", [False, True])
def test_a_child_that_failed_goes_on_with_its_parent(any_redis: Redis, named: bool) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.deploy(ROW, "child")
    params = "  serviceParams: {ExecutionName: fixed, Input: $}\n" if named else ""
    parent = (
        HEAD + "- type: task\n  name: calls\n  resourceArn: acs:fnf:::flow/child\n  pattern: sync\n"
    )
    assert driver.run(parent + params, {"item": "x"}).error == "Test.Broken"
    work.broken = set()
    assert again(driver).output == {"seen": "two", "done": "x"}
    assert work.ran["one "] == 1 and work.ran["x"] == 2
    names: Any = any_redis.zrange(driver.store.keys.executions, 0, -1)
    children = [name for name in names if name.startswith("child:")]
    assert len(children) == 1
    assert without_ttl(any_redis) == []


def test_a_flow_that_failed_in_its_own_mappings_begins_with_them(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    strict = ROW.replace(
        "steps:", "strict: true\ninputMappings: [{target: item, source: $input.thing}]\nsteps:"
    )
    assert driver.run(strict, {"item": "x"}).error == "FnF.InvalidPath"
    lenient = ROW.replace("steps:", "inputMappings: [{target: item, source: $input.item}]\nsteps:")
    driver.runtime.definitions.update("flow", lenient, None)
    assert again(driver, definition="latest").output == {"seen": "two", "done": "x"}


def test_a_child_whose_parents_worker_died_at_its_start_is_stopped_with_the_parent(
    any_redis: Redis,
) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(ROW, "child")
    driver.deploy(
        HEAD + "- {type: task, name: calls, resourceArn: acs:fnf:::flow/child, pattern: sync}\n"
    )
    driver.start({"item": "x"})
    driver.step()
    (message,) = driver.collect()
    claim = driver.store.claim(message.pointer, driver.holder_of(message))
    assert isinstance(claim, Claim)
    graph = driver.runtime.definitions.graph(claim.definition)
    driver.runner.run(driver.conductor.work(claim, graph))  # and it never says how that came out
    names: Any = any_redis.zrange(driver.store.keys.executions_of("child"), 0, -1)
    child = str(names[0]).partition(":")[2]
    driver.stop()
    assert driver.describe(child, "child").status is ExecutionStatus.STOPPED


def test_a_stop_that_is_finished_late_does_not_end_what_goes_on_again(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(ROW)
    driver.start({"item": "x"})
    driver.step()
    driver.stop()
    redrive(driver.runtime, Redrive("flow", "e-1"))
    assert driver.scripts.again("finish", call="another").verdict is Verdict.STALE
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_its_progress_counts_what_was_done_before(any_redis: Redis) -> None:
    work = Work({5})
    driver = work.driver(any_redis)
    driver.run(EACH, {"items": list(range(10))})
    work.broken = set()
    again(driver)
    graph, _ = load_flow(EACH)
    progress = Progress(graph)
    most = 0
    for event in driver.history():
        progress.apply(event)
        each = progress.steps["each"]
        most = max(most, each.done)
        assert each.done <= (each.total or 0)
    assert progress.status is ExecutionStatus.SUCCEEDED
    assert (each.done, each.total, most) == (10, 10, 10)


def test_an_old_message_of_an_inner_fork_takes_no_items_before_the_fork_is_open_again(
    any_redis: Redis,
) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    driver.deploy(NESTED)
    driver.start({"rows": [[1, 2, 3], [4, 5, 6]]})
    old = None
    while old is None:
        driver.step()
        lanes = (m for m in driver.collect() if m.pointer.kind == "lane")
        old = next((m for m in lanes if m.pointer.frame == "outer.0/inner"), None)
    driver.stop()
    driver.hand.clear()
    redrive(driver.runtime, Redrive("flow", "e-1", note=WHO))
    while "outer.0" not in driver.standing()["flow:e-1"]["states"]:
        assert driver.deliver(old) is Verdict.MISSING
        assert driver.step()
    assert driver.deliver(old) is Verdict.MISSING
    assert driver.drive().output == {"done": [1, 2, 3, 4, 5, 6]}
    assert left_open(driver) == []
    assert [key for key in driver.standing()["flow:e-1"]["states"]] == []
