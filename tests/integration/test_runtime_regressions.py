"""Mistakes that the runtime once made, each shown on a real store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.core.states import ExecutionStatus
from engine.runtime.claims import Batch, Holder
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.ending import Ending
from engine.runtime.fleet import WorkerInfo
from engine.runtime.renewing import Leases
from engine.runtime.searching import Search, search_all
from tests.driven import Message
from tests.driving import Died, Driver
from tests.properties.test_runtime_properties import caused_wrongly

HEAD = "version: v1\ntype: flow\nsteps:\n"
QUICK = HEAD + "- {type: pass, name: p}\n"
LONG = HEAD + "- {type: wait, name: w, duration: 5000}\n"
ONE = HEAD + "- {type: task, name: work, resourceArn: 'x:work'}\n"
EACH = (
    HEAD
    + """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: it}
  steps: [{type: task, name: work, resourceArn: 'x:work'}]
"""
)
PARENT = (
    HEAD
    + """
- type: task
  name: sub
  resourceArn: acs:fnf:::flow/child
  pattern: sync
  timeoutSeconds: 30
  serviceParams: {ExecutionName: c1, Input: $}
"""
)


@pytest.fixture
def client(redis_server: EmbeddedRedis) -> Redis:
    found: Redis = Redis.from_url(redis_server.url, decode_responses=True)
    found.flushall()
    return found


def work(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    return {"done": True}


def driver(client: Redis, **options: Any) -> Driver:
    return Driver(client, {"x:work": work}, **options)


def parent_of(client: Redis, child: str) -> Driver:
    """A driver with an execution that is about to start a child."""
    found = driver(client)
    found.deploy(child, "child")
    found.deploy(PARENT)
    found.start()
    return found


def once_started(found: Driver, then: Callable[[], None], child: str = "child:c1") -> None:
    """Has something happen right after a child was started, before its parent knows of it."""
    done: list[bool] = []

    def watch() -> None:
        order = found.scripts.orders.get("start", ((), {}))[1]
        if not done and order.get("id") == child and found.store.record(child):
            done.append(True)
            then()

    found.scripts.watch = watch


def die() -> None:
    raise Died


def lose_leases(found: Driver) -> None:
    """The workers at work are gone, and it was noticed."""
    for entry in found.redis.zrange(found.store.keys.lease, 0, -1):  # type: ignore[union-attr]
        found.redis.zadd(found.store.keys.lease, {entry: 1})
    found.sweep()


def announce(found: Driver, node: str, queue: str) -> None:
    found.runtime.fleet.announce(WorkerInfo(node, 1, {"x:work": (queue, None)}))
    found.runtime.fleet.workers(fresh=True)


# joins


def test_a_fork_that_leads_straight_back_to_itself_is_joined_each_time(client: Redis) -> None:
    text = (
        EACH
        + """
  outputMappings: [{target: seen, source: "$local[*].turn"}]
- type: choice
  name: again
  choices: [{condition: "$.seen[0] < 3", goto: each}]
"""
    )
    turns = iter(range(100))
    found = Driver(client, {"x:work": lambda input, ctx: {"turn": next(turns) // 2}})
    ended = found.run(text, {"items": [1, 2]})
    assert (ended.status, ended.output) == ("Succeeded", {"seen": [3, 3]})


def test_an_action_of_an_item_fails_under_its_products_name_whatever_follows(
    client: Redis,
) -> None:
    text = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: it}
  steps:
    - {type: task, name: get, action: 'store:Get', catch: [{errors: [store.Busy], goto: fan}]}
    - {type: succeed, name: fine}
    - type: parallel
      name: fan
      branches: [{steps: [{type: pass, name: p}]}]
"""

    class Busy(Exception):
        pass

    def get(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        raise Busy

    found = Driver(client, {"store:Get": get})
    assert found.run(HEAD + text, {"items": [0, 1]}).status == "Succeeded"


@pytest.mark.parametrize("seed", range(4))
def test_items_that_begin_with_a_fork_are_caused_by_their_foreach(client: Redis, seed: int) -> None:
    text = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: it}
  steps:
    - type: choice
      name: which
      choices:
        - condition: $.it == 1
          steps:
            - type: parallel
              name: fan
              branches: [{steps: [{type: task, name: a, resourceArn: 'x:work'}]}]
      default: {steps: [{type: task, name: b, resourceArn: 'x:work'}]}
"""
    found = driver(client, seed=seed, batch=6)
    assert found.run(HEAD + text, {"items": [0, 1, 0, 1, 1, 0]}).status == "Succeeded"
    assert caused_wrongly(found.history()) == []


def test_a_batch_has_as_many_items_as_the_flow_says(client: Redis) -> None:
    found = driver(client)
    found.deploy(EACH + "  batch: 5\n")
    found.start({"items": list(range(12))})
    lane = first_lane(found)
    batches = [found.store.lane(lane.pointer, Holder("w1", str(n)), 1, 1) for n in range(3)]
    sizes = [batch.stop - batch.first for batch in batches if isinstance(batch, Batch)]
    assert sizes == [5, 5, 2]


def test_a_lane_delivered_again_while_its_worker_is_at_it_keeps_its_lease(client: Redis) -> None:
    found = driver(client)
    found.deploy(EACH)
    found.start({"items": list(range(12))})
    lane = first_lane(found)
    for _ in range(2):
        found.store.lane(lane.pointer, Holder("w1", lane.id), 1, 1)
    found.pass_time(2)
    Leases(found.redis, found.store.keys, "w1", found.store.settings.lease_s).renew([lane.id])
    leases = found.redis.zrange(found.store.keys.lease, 0, -1, withscores=True)
    assert len(leases) == 1, leases  # type: ignore[arg-type]
    assert leases[0][1] > found.now_ms() + 2000  # type: ignore[index]


def first_lane(found: Driver) -> Message:
    found.collect()
    found.deliver(found.hand[0])
    return next(message for message in found.collect() if message.pointer.kind == "lane")


# children


def test_a_failed_branch_stops_the_child_that_another_one_waits_for(client: Redis) -> None:
    text = """
- type: parallel
  name: both
  branches:
    - steps:
        - type: task
          name: sub
          resourceArn: acs:fnf:::flow/child
          pattern: sync
          serviceParams: {ExecutionName: c1, Input: $}
    - steps: [{type: wait, name: w, duration: 1}, {type: fail, name: f, error: Boom}]
"""
    found = driver(client)
    found.deploy(LONG, "child")
    assert found.run(HEAD + text).error == "Boom"
    assert found.describe("c1", "child").status == "Stopped"


def test_a_stop_while_a_child_is_being_started_stops_the_child(client: Redis) -> None:
    found = parent_of(client, LONG)
    stop = Ending(found.runtime).stop
    once_started(found, lambda: stop("flow", "e-1", ExecutionStatus.STOPPED, None, None))
    assert found.drive().status == "Stopped"
    assert found.describe("c1", "child").status == "Stopped"


@pytest.mark.parametrize("calls", range(1, 16, 2))
def test_a_stop_that_dies_anywhere_still_stops_the_child(client: Redis, calls: int) -> None:
    found = parent_of(client, LONG)
    while found.step():
        pass
    left = iter(range(calls))

    def watch() -> None:
        if next(left, None) is None:
            raise Died

    found.scripts.watch = watch
    try:
        Ending(found.runtime).stop("flow", "e-1", ExecutionStatus.STOPPED, None, None)
    except Died:
        pass
    found.scripts.watch = lambda: None
    if "ending" not in found.scripts.calls:
        return  # it died before it began
    assert found.drive().status == "Stopped"
    assert found.describe("c1", "child").status == "Stopped"


def test_a_parent_whose_worker_died_while_it_started_a_child_still_times_out(
    client: Redis,
) -> None:
    found = parent_of(client, LONG)
    once_started(found, die)
    ended = found.drive()
    assert (ended.status, ended.error) == ("Failed", "FnF.TaskTimeout")


def test_a_childs_end_reaches_a_parent_that_is_taken_over_meanwhile(client: Redis) -> None:
    found = parent_of(client, QUICK)
    once_started(found, die)
    while not found.deaths:
        assert found.step()
    lose_leases(found)
    found.collect()
    for message in [one for one in found.hand if one.pointer.flow == "child"]:
        found.deliver(message)
    assert found.describe("c1", "child").status == "Succeeded"

    def watch() -> None:
        if found.store.state("flow:e-1", "") and found.deaths == 1 and waits():
            raise Died

    def waits() -> bool:
        return bool((found.store.state("flow:e-1", "") or {}).get("on"))

    found.scripts.watch = watch
    while found.deaths == 1:
        assert found.step()
    found.scripts.watch = lambda: None
    assert waits()
    assert found.drive().status == "Succeeded"


def test_a_start_action_that_is_repeated_finds_its_own_execution_ended(client: Redis) -> None:
    text = """
- type: task
  name: sub
  action: fnf:StartExecution
  serviceParams: {FlowName: child, ExecutionName: c1, Input: {}}
"""
    found = driver(client)
    found.deploy(QUICK, "child")
    found.deploy(HEAD + text)
    found.start()
    once_started(found, die)
    assert found.drive().status == "Succeeded"


# workers that leave


def test_a_task_whose_workers_have_left_waits_for_others(client: Redis) -> None:
    found = Driver(client, {})
    announce(found, "w9", "gpu")
    found.deploy(ONE)
    found.start()
    while found.step():
        pass
    found.runtime.fleet.leave("w9")
    found.runtime.fleet.workers(fresh=True)
    found.pass_time(6)
    found.sweep()
    assert [message.pointer.kind for message in found.collect()] == ["unserved"]
    assert found.drive().error == "FC.FunctionNotFound"


def test_a_task_that_finds_its_workers_again_goes_on_though_its_message_is_lost(
    client: Redis,
) -> None:
    found = Driver(client, {})
    found.deploy(ONE)
    found.start()
    found.deliver(found.collect()[0])
    assert [message.pointer.kind for message in found.collect()] == ["unserved"]
    found.hand.clear()
    announce(found, "w9", found.store.settings.queue)
    found.pass_time(6)
    found.sweep()
    assert [message.task for message in found.collect()] == ["x:work"]
    assert found.hand[0].pointer.kind == "task"


def test_the_look_for_a_worker_ends_when_timers_stand_in_for_messages(client: Redis) -> None:
    found = Driver(client, {}, settings=Settings(max_eta_messages=1))
    found.deploy(HEAD + "- {type: wait, name: w, duration: 50}\n", "held")
    found.start(name="w", flow="held")
    while found.step():
        pass
    assert found.run(ONE).error == "FC.FunctionNotFound"
    assert not found.describe("w", "held").status.ended


def test_items_whose_workers_have_left_fail_in_the_end(client: Redis) -> None:
    found = Driver(client, {})
    announce(found, "w9", "gpu")
    found.deploy(EACH)
    found.start({"items": [1, 2]})
    while found.step():
        pass
    found.runtime.fleet.leave("w9")
    found.runtime.fleet.workers(fresh=True)
    assert found.drive().error == "FC.FunctionNotFound"


# sweeping and lists


def test_an_entry_that_cannot_be_handled_does_not_keep_the_others_waiting(client: Redis) -> None:
    found = driver(client)
    found.deploy(LONG)
    found.start()
    while found.step():
        pass
    found.redis.zadd(found.store.keys.timers, {"a|newer|version|has|this": 1})
    found.pass_time(5001)
    found.sweep()
    assert [message.pointer.kind for message in found.collect()] == ["wait"]


def test_expired_executions_hide_no_others_from_a_list(client: Redis) -> None:
    found = driver(client)
    found.deploy(LONG)
    for number in range(220):
        found.start(name=f"e-{number:03}")
    gone = [f"flow:e-{number:03}" for number in range(150, 220, 2)]
    found.redis.delete(*map(found.store.keys.record, gone))
    assert len(search_all(found.runtime, Search(), None)) == 220 - len(gone)
    assert found.redis.zcard(found.store.keys.executions_of("flow")) == 220 - len(gone)


def test_the_index_is_trimmed_behind_what_runs_for_long(client: Redis) -> None:
    found = driver(client)
    running = {f"flow:r-{number}": number for number in range(150)}
    ended = {f"flow:x-{number}": 1000 + number for number in range(900)}
    found.redis.zadd(found.store.keys.executions, running | ended)
    for identity in running:
        found.redis.hset(found.store.keys.record(identity), "status", "Running")
    found.sweeper.trim()
    assert found.redis.zcard(found.store.keys.executions) == len(running)
