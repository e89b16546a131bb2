"""Redrive and skip at their edges: newer definitions, who comes late, who comes second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.core.events import EventType
from engine.core.states import ExecutionStatus
from engine.errors import InvalidArgument, TaskInvalidState
from engine.runtime.ending import Ending
from engine.runtime.pausing import pause, resume
from engine.runtime.pointer import Pointer
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.skipping import Skip, skip
from tests.driving import Driver
from tests.redriving import (
    EACH,
    HEAD,
    NESTED,
    ROW,
    TOLERANT,
    WHO,
    Work,
    again,
    left_open,
    succeeded_twice,
)
from tests.stores import without_ttl

ROOT = Pointer("flow", "e-1", "", 0, "", "", "resume")
END = """
- type: task
  name: end
  resourceArn: fragile
  inputMappings: [{target: item, source: end}]
  outputMappings: [{target: ended, source: $local.done}]
"""
MANY = TOLERANT.replace("Failures: 2", 'Failures: "100%"').replace("cy: 1", "cy: 20")
ONLY = """
- type: foreach
  name: each
  iterationMapping: {collection: $.more, item: item}
  steps:
    - type: task
      name: only
      resourceArn: fragile
      outputMappings: [{target: done, source: $input.item}]
  outputMappings: [{target: done, source: "$local[*].done"}]
"""
KEYS = """
- {type: task, name: one, resourceArn: keyed}
- {type: task, name: three, resourceArn: fragile}
"""


def over(source: str) -> str:
    """The foreach over another collection of its input."""
    mapping = f"  inputMappings: [{{target: items, source: {source}}}]\n"
    return EACH.replace("  iterationMapping:", mapping + "  iterationMapping:")


def update(driver: Driver, text: str) -> None:
    driver.runtime.definitions.update("flow", text, None)


def failed_in_row(redis: Redis, newer: str | None = None) -> tuple[Work, Driver]:
    """An execution that has failed at its third step; what broke it is mended."""
    work = Work({"x"})
    driver = work.driver(redis)
    assert driver.run(ROW, {"item": "x"}).error == "Test.Broken"
    work.broken = set()
    if newer is not None:
        update(driver, newer)
    return work, driver


def once(driver: Driver, verb: str, times: int, act: Callable[[], None]) -> None:
    """Lets somebody else act when a verb has been called so often, before its caller goes on."""
    target = driver.scripts.calls[verb] + times
    done: list[str] = []

    def watch() -> None:
        if driver.scripts.calls[verb] == target and not done:
            done.append(verb)
            act()

    driver.scripts.watch = watch


# newer definitions


@pytest.mark.parametrize("broken", [5, 9])
@pytest.mark.parametrize("newer", [[0, 1, 2, 3], [*range(14)], [*range(9, -1, -1)], [7, 7]])
def test_a_collection_that_has_changed_is_gone_over_as_it_is_now(
    any_redis: Redis, newer: list[int], broken: int
) -> None:
    work = Work({broken})
    driver = work.driver(any_redis)
    driver.run(over("$input.items"), {"items": [*range(10)], "newer": newer})
    work.broken = set()
    update(driver, over("$input.newer"))
    assert again(driver, definition="latest").output == {"done": newer}
    assert left_open(driver) == []


def test_items_that_take_the_places_of_others_get_keys_of_their_own(any_redis: Redis) -> None:
    work = Work({9})
    driver = work.driver(any_redis)
    driver.run(over("$input.items"), {"items": [*range(10)], "newer": [*range(9, -1, -1)]})
    work.broken = set()
    update(driver, over("$input.newer"))
    again(driver, definition="latest")
    keys = [key for keys in work.keys.values() for key in keys]
    assert len(keys) == len(set(keys))


def test_a_collection_that_has_grown_at_its_end_keeps_what_was_done(any_redis: Redis) -> None:
    work = Work({5})
    driver = work.driver(any_redis)
    driver.run(over("$input.items"), {"items": [*range(8)], "newer": [*range(11)]})
    done = {
        e.detail["output"]["done"]
        for e in driver.history()
        if e.step_name == "second" and e.detail.get("output", {}).get("done") is not None
    }
    before, work.broken = Counter(work.ran), set()
    update(driver, over("$input.newer"))
    assert again(driver, definition="latest").output == {"done": [*range(11)]}
    assert done and not done & set(work.ran - before)


def test_a_newer_definition_may_lack_a_foreach_that_is_over(any_redis: Redis) -> None:
    work = Work({3, "end"})
    driver = work.driver(any_redis)
    assert driver.run(TOLERANT + END, {"items": [*range(5)]}).error == "Test.Broken"
    update(driver, HEAD + END)
    work.broken = set()
    assert again(driver, definition="latest").status is ExecutionStatus.SUCCEEDED


def test_items_that_have_no_place_in_a_newer_definition_are_refused_or_run_anew(
    any_redis: Redis,
) -> None:
    work = Work({3})
    driver = work.driver(any_redis)
    driver.run(EACH, {"items": [*range(5)]})
    work.broken = set()
    update(driver, EACH.replace("name: second", "name: other"))
    with pytest.raises(InvalidArgument, match="each/steps/second"):
        again(driver, from_step="each", definition="latest")
    whole = again(driver, from_step="each", definition="latest", items="all")
    assert whole.output == {"done": [*range(5)]}


def test_a_redrive_leads_away_from_a_step_that_is_gone_though_its_message_is_lost(
    any_redis: Redis,
) -> None:
    _, driver = failed_in_row(any_redis, ROW.replace("name: three", "name: four"))
    redrive(driver.runtime, Redrive("flow", "e-1", "two", "latest"))
    driver.collect()
    driver.hand.clear()
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_a_redrive_away_from_a_step_that_is_gone_can_be_paused_and_counts_turns(
    any_redis: Redis,
) -> None:
    newer = ROW.replace("steps:", "history: {turns: 2}\nsteps:").replace("three", "four")
    _, driver = failed_in_row(any_redis, newer)
    redrive(driver.runtime, Redrive("flow", "e-1", "two", "latest"))
    with pytest.raises(TaskInvalidState):
        skip(driver.runtime, Skip("flow", "e-1", "three", {}))
    pause(driver.runtime, "flow", "e-1", True, WHO)
    while driver.step():
        pass
    resume(driver.runtime, "flow", "e-1", WHO)
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


def test_a_step_whose_newer_mappings_fail_is_entered_and_exited(any_redis: Redis) -> None:
    newer = ROW.replace("steps:", "strict: true\nsteps:").replace(
        "name: three,", "name: three, inputMappings: [{target: item, source: $input.nope}],"
    )
    _, driver = failed_in_row(any_redis, newer)
    assert again(driver, definition="latest").error == "FnF.InvalidPath"
    assert left_open(driver) == []


def test_a_limit_that_a_newer_definition_lacks_ends_nothing_after_a_pause(
    any_redis: Redis,
) -> None:
    work = Work({"x"})
    driver = work.driver(any_redis)
    driver.run(ROW.replace("steps:", "timeoutSeconds: 100\nsteps:"), {"item": "x"})
    driver.pass_time(200)
    work.broken = set()
    update(driver, ROW)
    redrive(driver.runtime, Redrive("flow", "e-1", definition="latest"))
    pause(driver.runtime, "flow", "e-1", True, WHO)
    resume(driver.runtime, "flow", "e-1", WHO)
    driver.pass_time(1)
    driver.sweep()
    assert driver.drive().status is ExecutionStatus.SUCCEEDED


# what is kept


def test_a_foreach_that_failed_over_its_own_mappings_keeps_its_results(any_redis: Redis) -> None:
    work = Work(set())
    driver = work.driver(any_redis)
    target = 'source: "$local[*].done"}'
    strict = EACH.replace("steps:", "strict: true\nsteps:", 1)
    bad = strict.replace(target, target + ", {target: more, source: $input.nope}")
    assert driver.run(bad, {"items": [*range(5)]}).error == "FnF.InvalidPath"
    before = Counter(work.ran)
    update(driver, EACH)
    assert again(driver, definition="latest").output == {"done": [*range(5)]}
    assert work.ran == before
    assert left_open(driver) == []


def test_a_named_foreach_takes_no_items_of_another_of_its_name(any_redis: Redis) -> None:
    work = Work({3})
    driver = work.driver(any_redis)
    inner = EACH.removeprefix(HEAD).replace("\n", "\n    ")
    choice = "- type: choice\n  name: decides\n  choices:\n  - condition: $.item == 1\n    steps:"
    given = {"item": 1, "items": [1, 2, 3, 4], "more": [5, 6]}
    assert driver.run(HEAD + choice + inner + ONLY, given).error == "Test.Broken"
    assert again(driver, from_step="each").output == {"done": [5, 6]}


def test_the_local_of_a_step_is_that_of_its_latest_entry_also_after_a_redrive(
    any_redis: Redis,
) -> None:
    work = Work({"x"})
    calls: list[str] = []

    def keyed(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        calls.append(f"key{len(calls)}")
        return {calls[-1]: 1}

    driver = Driver(any_redis, {"keyed": keyed, "fragile": work.fragile})
    driver.run(HEAD + KEYS, {"item": "x"})
    again(driver, from_step="one")
    work.broken = set()
    assert again(driver, from_step="three").output == {"key1": 1, "done": "x"}


@pytest.mark.parametrize("wrong", [{"items": "Failed"}, {"items": [3]}, {"definition": "newest"}])
def test_a_redrive_that_asks_for_what_there_is_not_is_refused(
    any_redis: Redis, wrong: dict[str, Any]
) -> None:
    driver = Work({3}).driver(any_redis)
    driver.run(EACH, {"items": [*range(5)]})
    with pytest.raises(InvalidArgument, match="must be one of"):
        again(driver, from_step="each", **wrong)


# skips


@pytest.mark.parametrize("frame", [None, "each.3"])
def test_an_item_of_a_foreach_that_is_over_cannot_be_skipped(
    any_redis: Redis, frame: str | None
) -> None:
    driver = Work({3, "end"}).driver(any_redis)
    driver.run(TOLERANT + END, {"items": [*range(5)]})
    with pytest.raises(InvalidArgument, match="nothing to skip"):
        skip(driver.runtime, Skip("flow", "e-1", "second", {}, frame))
    assert driver.describe().status is ExecutionStatus.FAILED


def test_a_skip_that_comes_second_to_another_is_not_taken_for_done(any_redis: Redis) -> None:
    work = Work({3, 7, 9})
    driver = work.driver(any_redis)
    driver.run(TOLERANT, {"items": [*range(10)]})
    other = Skip("flow", "e-1", "second", {"done": "other"}, "each.7")
    once(driver, "redrive", 0, lambda: skip(driver.runtime, other))
    with pytest.raises(TaskInvalidState, match="goes on already"):
        skip(driver.runtime, Skip("flow", "e-1", "second", {"done": "mine"}, "each.3"))
    work.broken = set()
    output = driver.drive().output or {}
    assert output["done"] == [0, 1, 2, 3, 4, 5, 6, "other", 8, 9]


def test_a_skip_whose_output_is_too_large_for_the_local_leaves_no_step_open(
    any_redis: Redis,
) -> None:
    work = Work({"x"})
    settings = Settings(payload_limit_bytes=3000, inline_limit_bytes=1024)
    functions = {"count": work.count, "fragile": work.fragile}
    driver = Driver(any_redis, functions, settings=settings)
    driver.run(ROW.replace("source: two", f"source: {'o' * 2000}"), {"item": "x"})
    skip(driver.runtime, Skip("flow", "e-1", "three", {"big": "b" * 2000}, note=WHO))
    assert driver.drive().error == "FnF.PayloadTooLarge"
    assert left_open(driver) == []
    work.broken = set()
    assert again(driver).status is ExecutionStatus.SUCCEEDED


# who comes late


@pytest.mark.parametrize("text", [ROW, NESTED])
def test_who_goes_on_with_a_stop_that_others_have_finished_cuts_nothing_off(
    any_redis: Redis, text: str
) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(text)
    driver.start({"item": "x", "rows": [[1, 2, 3], [4, 5, 6]]})
    for _ in range(1 if text is ROW else 6):
        driver.step()

    def finish_and_redrive() -> None:
        Ending(driver.runtime).complete(ROOT)
        redrive(driver.runtime, Redrive("flow", "e-1"))
        for _ in range(0 if text is ROW else 5):
            driver.step()

    once(driver, "abort", 1, finish_and_redrive)
    driver.stop()
    assert driver.describe().status is ExecutionStatus.RUNNING
    assert driver.drive().status is ExecutionStatus.SUCCEEDED
    assert left_open(driver) == []


@pytest.mark.parametrize("named", [False, True])
def test_who_started_a_child_for_an_attempt_that_is_over_leaves_it_to_the_next(
    any_redis: Redis, named: bool
) -> None:
    driver = Work(set()).driver(any_redis)
    driver.deploy(ROW, "child")
    params = "  serviceParams: {ExecutionName: fixed, Input: $}\n" if named else ""
    calls = "- type: task\n  name: calls\n  resourceArn: acs:fnf:::flow/child\n  pattern: sync\n"
    driver.deploy(HEAD + calls + params)
    driver.start({"item": "x"})
    driver.step()

    def stop_and_redrive() -> None:
        driver.stop()
        redrive(driver.runtime, Redrive("flow", "e-1"))
        for _ in range(4):
            driver.step()

    once(driver, "start", 1, stop_and_redrive)
    driver.step()
    assert driver.drive().status is ExecutionStatus.SUCCEEDED
    assert left_open(driver) == []


def test_who_has_lost_the_opening_of_a_fork_changes_nothing_of_what_it_has_to_do(
    redis_url: str,
) -> None:
    items = [*range(900)]
    work = Work({*items[1::2], "end"})
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        driver = work.driver(redis)
        assert driver.run(MANY + END, {"items": items}).error == "Test.Broken"
        before, work.broken = Counter(work.ran), set()
        redrive(driver.runtime, Redrive("flow", "e-1", "each"))

        def lose_and_go_on() -> None:
            driver.pass_time(driver.store.settings.lease_s + 1)
            driver.sweep()
            for _ in range(60):
                driver.step()

        once(driver, "claim", 1, lose_and_go_on)
        driver.step()
        output = driver.drive().output or {}
        assert output["done"] == items
        assert set(work.ran - before) == {*items[1::2], "end"}
        assert succeeded_twice(driver) == []
        assert left_open(driver) == []
        assert without_ttl(redis) == []
        assert EventType.EXECUTION_REDRIVEN in {event.type for event in driver.history()}
