"""Forks in the store: windows, batches, ranges that come back, and joins that are opened again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from engine.core.history import normalise
from engine.runtime.claims import Batch, Holder
from engine.runtime.scripts import Verdict
from engine.simulate.simulator import simulate
from tests.driving import Died, Driver
from tests.fundamentals.invariants import broken
from tests.properties.flows import TASKS, Document
from tests.properties.test_runtime_properties import caused_wrongly, graph_of

LETTERS = {"letters": list("abcdefghij")}
WEIGH = {"type": "task", "name": "weigh", "resourceArn": "ok"}


def foreach(*steps: Document, **more: Any) -> Document:
    mapping = {"collection": "$.letters", "item": "letter"}
    results = [{"target": "sorted", "source": "$local"}]
    return {
        "type": "foreach",
        "name": "sort",
        "iterationMapping": mapping,
        "steps": list(steps) or [WEIGH],
        "outputMappings": results,
        **more,
    }


def flow(*steps: Document) -> Document:
    return {"version": "v1", "type": "flow", "steps": list(steps)}


def opened(redis: Redis, *steps: Document, slots: int = 1, **more: Any) -> Driver:
    """A driver whose fork is open; its lanes are in the hand."""
    driver = Driver(redis, TASKS, slots=slots, batch=100)
    driver.deploy(json.dumps(flow(foreach(*steps, **more))))
    driver.start(LETTERS)
    driver.step()
    driver.collect()
    return driver


def lane(driver: Driver, wanted: int, slots: int = 1, request: str = "") -> Batch | Verdict:
    """Takes items, under a message of its own unless `request` is one that was there before."""
    holder = Holder("w1", request or f"message-{driver.scripts.calls['lane']}")
    return driver.store.lane(driver.hand[0].pointer, holder, wanted, slots)


def take(driver: Driver, wanted: int, slots: int = 1) -> Batch:
    batch = lane(driver, wanted, slots)
    assert isinstance(batch, Batch)
    return batch


def end(driver: Driver, batch: Batch, stop: int) -> None:
    """Ends the items of a batch below `stop`."""
    for index in range(batch.first, stop):
        order = {"events": [], "to": {"st": "ENDED", "result": "{}"}}
        assert driver.store.item(batch, index, order).applied


def join_of(driver: Driver) -> dict[str, Any]:
    join = driver.store.join("flow:e-1", "sort")
    assert join is not None
    return join


def test_as_many_lanes_go_out_as_twice_the_slots(any_redis: Redis) -> None:
    assert len(opened(any_redis, slots=2).hand) == 4


def test_no_more_lanes_go_out_than_the_window_has_places(any_redis: Redis) -> None:
    assert len(opened(any_redis, slots=4, concurrency=3).hand) == 3


def test_a_batch_is_no_longer_than_the_others_slots_leave_it(any_redis: Redis) -> None:
    driver = opened(any_redis)
    batch = take(driver, wanted=200, slots=2)
    assert (batch.first, batch.stop) == (0, 3), "a quarter of ten items, rounded up"


def test_a_batch_is_no_longer_than_wanted(any_redis: Redis) -> None:
    driver = opened(any_redis)
    assert take(driver, wanted=2).stop == 2


def test_batches_never_share_an_item(any_redis: Redis) -> None:
    driver = opened(any_redis)
    batches = [take(driver, wanted=2) for _ in range(6)]
    taken = [(one.first, one.stop) for one in batches]
    assert taken == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9), (9, 10)]
    assert lane(driver, wanted=2) is Verdict.EMPTY


def test_a_message_takes_no_second_batch_while_its_worker_is_at_the_first(
    any_redis: Redis,
) -> None:
    driver = opened(any_redis)
    first = lane(driver, wanted=2, request="message")
    assert isinstance(first, Batch)
    assert lane(driver, wanted=2, request="message") is Verdict.STALE
    driver.store.verb("batch_lost", "flow:e-1", join="sort", batch=first.fence)
    assert isinstance(lane(driver, wanted=2, request="message"), Batch)


def test_a_full_window_gives_no_items(any_redis: Redis) -> None:
    driver = opened(any_redis, concurrency=2)
    for _ in range(2):
        take(driver, wanted=1)
    assert lane(driver, wanted=1) is Verdict.EMPTY
    assert join_of(driver)["active"] == 2


def test_items_of_a_lost_batch_that_had_no_turn_are_taken_next(any_redis: Redis) -> None:
    driver = opened(any_redis)
    lost = take(driver, wanted=3)
    driver.store.verb("batch_lost", "flow:e-1", join="sort", batch=lost.fence)
    assert join_of(driver)["returned"] == 3
    again = take(driver, wanted=2)
    assert (again.first, again.stop) == (0, 2)
    rest = take(driver, wanted=100)
    assert (rest.first, rest.stop) == (2, 3)
    assert take(driver, wanted=1).first == 3


def test_a_batch_is_lost_once(any_redis: Redis) -> None:
    driver = opened(any_redis)
    lost = take(driver, wanted=3)
    order = {"join": "sort", "batch": lost.fence}
    assert driver.store.verb("batch_lost", "flow:e-1", **order).verdict is Verdict.APPLIED
    assert driver.store.verb("batch_lost", "flow:e-1", **order).verdict is Verdict.STALE
    assert driver.store.record("flow:e-1")["handovers"] == "1"


def test_an_item_of_a_lost_batch_is_refused(any_redis: Redis) -> None:
    driver = opened(any_redis)
    lost = take(driver, wanted=3)
    driver.store.verb("batch_lost", "flow:e-1", join="sort", batch=lost.fence)
    order = {"events": [], "to": {"st": "ENDED", "result": "{}"}}
    assert driver.store.item(lost, lost.first, order).verdict is Verdict.STALE


def test_an_item_out_of_its_turn_is_refused(any_redis: Redis) -> None:
    driver = opened(any_redis)
    batch = take(driver, wanted=3)
    order = {"events": [], "to": {"st": "ENDED", "result": "{}"}}
    assert driver.store.item(batch, batch.first + 1, order).verdict is Verdict.STALE


def test_an_item_that_names_an_event_id_which_others_took_is_told_the_next(
    any_redis: Redis,
) -> None:
    driver = opened(any_redis)
    batch = take(driver, wanted=3)
    order = {"events": [], "exact": 99, "to": {"st": "ENDED", "result": "{}"}}
    answer = driver.store.item(batch, batch.first, order)
    assert (answer.verdict, answer.values) == (Verdict.MOVED, (batch.next_event_id,))


def test_the_item_a_dead_worker_was_at_goes_on_and_the_others_run_elsewhere(
    any_redis: Redis,
) -> None:
    driver = opened(any_redis)
    driver.lanes.most = 100
    dies_once(driver, at=3)
    ended = driver.drive()
    history = driver.history()
    assert ended.output is not None and len(ended.output["sorted"]) == 10
    lost = [event.frame for event in history if event.type == "TaskFailed"]
    assert len(lost) == 1
    assert broken(history) == caused_wrongly(history) == []
    assert driver.store.record("flow:e-1")["handovers"] == "1"


def test_an_item_whose_worker_died_is_closed_when_another_fails_the_fork(
    any_redis: Redis,
) -> None:
    """The one that was running is aborted in the history, whether it was handed on or not."""
    fail = {"condition": '$.letter == "j"', "steps": [{"type": "fail", "name": "no"}]}
    choice = {"type": "choice", "name": "look", "choices": [fail]}
    driver = opened(any_redis, WEIGH, choice)
    dies_once(driver, at=1)
    while not driver.deaths:
        driver.step()
    ended = driver.drive()
    assert ended.error == "FnF.Fail"
    assert broken(driver.history()) == []


@pytest.mark.parametrize("fork", ["sort", "both"])
def test_a_fork_that_is_opened_again_at_once_is_a_new_fork(any_redis: Redis, fork: str) -> None:
    """A fork's decision may lead straight back to the fork, without a message in between."""
    mark = {"type": "pass", "name": "mark", "outputMappings": [{"target": "done", "source": True}]}
    back: Document = {
        "type": "choice",
        "name": "again",
        "choices": [{"condition": "$.done", "goto": "end"}],
    }
    back["default"] = {"steps": [mark], "goto": fork}
    both = {
        "type": "parallel",
        "name": "both",
        "branches": [{"steps": [WEIGH]}, {"steps": [WEIGH]}],
    }
    document = flow(both if fork == "both" else foreach(), back, {"type": "pass", "name": "end"})
    driver = Driver(any_redis, TASKS)
    ended = driver.run(json.dumps(document), LETTERS)
    expected = simulate(graph_of(document), LETTERS, tasks=TASKS, execution_name="e-1")
    assert (ended.status, ended.output) == (expected.status, expected.output)
    assert normalise(driver.history()) == normalise(expected.history)


def dies_once(driver: Driver, at: int) -> None:
    """Lets the worker die in the middle of its `at`-th task."""
    left = [at]

    def during() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Died

    driver.runner.during = during


def test_items_that_come_back_find_a_lane_though_the_one_that_was_sent_is_lost(
    any_redis: Redis,
) -> None:
    """Every worker is killed: one with a batch, one with the only lane that is left."""
    driver = opened(any_redis, concurrency=5)
    first, *others = (take(driver, wanted=5) for _ in range(4))
    driver.store.verb("batch_lost", "flow:e-1", join="sort", batch=first.fence)
    for batch in others:
        end(driver, batch, batch.stop)
    last = take(driver, wanted=5)
    assert (last.first, last.stop) == (0, 5)
    end(driver, last, 4)
    assert join_of(driver)["lanes"] >= 1
    driver.collect()
    driver.hand.clear()
    driver.pass_time(driver.store.settings.lease_s + 1)
    ended = driver.drive()
    assert ended.output is not None and len(ended.output["sorted"]) == 10


def test_a_batch_that_moved_on_since_it_was_looked_at_is_looked_at_again(
    any_redis: Redis,
) -> None:
    driver = opened(any_redis)
    batch = take(driver, wanted=3)
    driver.store.item(batch, 0, {"events": [], "to": {"st": "OPEN"}})
    order = {"join": "sort", "batch": batch.fence}
    assert driver.store.verb("batch_lost", "flow:e-1", **order).verdict is Verdict.MOVED
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    assert driver.store.state("flow:e-1", "sort.0") is not None
    assert join_of(driver)["returned"] == 2


def test_a_child_that_is_handed_on_was_caused_by_its_fork(any_redis: Redis) -> None:
    """Also behind another child of the same batch, which has left its own events."""
    inner = {"type": "parallel", "name": "inner", "branches": [{"steps": [WEIGH]}]}
    branches = [{"steps": [{**inner, "name": "first"} if n == 1 else WEIGH]} for n in range(4)]
    document = flow({"type": "parallel", "name": "outer", "branches": branches})
    driver = Driver(any_redis, TASKS, slots=1, batch=4, seed=1)
    driver.deploy(json.dumps(document))
    driver.start()
    assert driver.drive().status == "Succeeded"
    assert caused_wrongly(driver.history()) == []


def test_a_join_that_was_opened_anew_is_not_forgotten(any_redis: Redis) -> None:
    driver = opened(any_redis)
    answer = driver.store.verb(
        "forget", "flow:e-1", join="sort", fence="another", results=[], whole=True
    )
    assert answer.verdict is Verdict.STALE
    assert join_of(driver)["st"] == "OPEN"
