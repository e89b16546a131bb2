"""Histories that grow: pages leave the stream, turns are dropped, and reading stays the same."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from engine.core.turns import first_and_last
from engine.runtime import views
from engine.runtime.archiving import (
    DROPPED_AT_ONCE,
    MOST_PAGES,
    PAGE,
    field_of,
    pack_page,
    tidy,
    unpack_page,
)
from engine.runtime.engine import Engine
from engine.runtime.scripts import Verdict
from tests.long_histories import ID, Interrupted, LongHistory
from tests.stores import life_s, without_ttl


def archived(long: LongHistory) -> int:
    return int(long.driver.store.record(ID).get("archived", 0))


def ids(long: LongHistory, after: int = 0, limit: int | None = None) -> list[int]:
    found = views.history(long.driver.runtime, "flow", "e-1", after, limit)
    return [event.event_id for event in found]


def test_a_history_of_less_than_two_pages_is_left_alone(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append(2 * PAGE - long.last - 1)
    assert not long.is_due()
    long.append(1)
    assert long.is_due()


def test_older_pages_leave_the_stream_and_are_read_as_before(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append(5 * PAGE + 10)
    before = long.driver.history()
    long.sweep()
    assert archived(long) == 4 * PAGE
    assert long.live() == long.last - 4 * PAGE
    assert long.driver.history() == before
    assert not long.is_due()


def test_an_archived_page_holds_what_the_stream_has_held(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append(PAGE)
    entries: Any = any_redis.xrange(long.driver.store.keys.history(ID), "2-0", "1000-0")
    assert unpack_page(pack_page(entries)) == entries


@pytest.mark.parametrize("limit", [1, 7, 1000, 1500, None])
def test_pages_are_cut_where_they_are_asked_for(any_redis: Redis, limit: int | None) -> None:
    long = LongHistory(any_redis)
    long.append(5200 - long.last)
    long.sweep()
    for after in (0, 1, 999, 1000, 1001, 2500, 3999, 4000, 4001, 5199, 5200, 6000):
        end = 5200 if limit is None else min(5200, after + limit)
        assert ids(long, after, limit) == list(range(after + 1, end + 1))


def test_a_page_that_moves_between_two_reads_is_neither_missed_nor_twice(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    store = long.driver.store
    long.append(500)

    def grow() -> None:
        store.redis = any_redis
        if long.last < 9000:
            long.append(700)
            tidy(long.driver.runtime, ID)
        store.redis = Interrupted(any_redis, grow)  # type: ignore[assignment]

    grow()
    found: list[int] = []
    while page := ids(long, found[-1] if found else 0, 300):
        found += page
    assert found == list(range(1, long.last + 1))


def test_a_page_is_archived_once_and_only_for_the_execution_that_was_read(
    any_redis: Redis,
) -> None:
    long = LongHistory(any_redis)
    long.append(4 * PAGE)
    tidy(long.driver.runtime, ID)
    assert archived(long) == 3 * PAGE
    before, keys = long.driver.history(), long.driver.store.keys.execution(ID)
    begun = long.driver.store.record(ID)["start_call"]
    for page, start in ((2, begun), (0, begun), (4, begun), (3, "another")):
        order = {"id": ID, "call": "", "begun": start, "page": page}
        answer = long.driver.store.scripts.call("archive", keys, order, "text of somebody")
        assert answer.verdict is Verdict.STALE
    assert long.driver.history() == before
    assert not any_redis.hexists(long.driver.store.keys.payloads(ID), field_of(3))


def test_a_sweeper_moves_a_few_pages_at_a_time(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append((MOST_PAGES + 5) * PAGE)
    long.driver.sweeper.sweep()
    assert archived(long) >= MOST_PAGES * PAGE
    long.sweep()
    assert long.live() == long.last - archived(long) < 2 * PAGE


def test_a_page_stays_due_when_its_sweeper_dies(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append(2 * PAGE)
    keys = long.driver.store.keys
    order = {"call": "", "limit": 10, "hold_ms": 5000}
    assert long.driver.store.scripts.raw("sweep", [keys.timers], order) == [f"history|{ID}||"]
    long.driver.sweep()
    assert archived(long) == 0, "another sweeper has it"
    long.driver.pass_time(6)
    long.driver.sweep()
    assert archived(long) == PAGE


def test_archived_pages_live_as_long_as_their_execution(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append(5 * PAGE)
    long.driver.stop()
    long.sweep()
    assert archived(long) > 0
    keys = long.driver.store.keys
    lives = [life_s(any_redis, key) for key in (keys.record(ID), keys.payloads(ID))]
    assert abs(lives[0] - lives[1]) <= 1
    assert without_ttl(any_redis) == []


def test_nobody_looks_after_the_history_of_an_execution_that_is_gone(any_redis: Redis) -> None:
    long = LongHistory(any_redis)
    long.append(5 * PAGE)
    any_redis.delete(*long.driver.store.keys.execution(ID)[:7])
    long.driver.sweep()
    assert not long.is_due()
    assert not any_redis.exists(long.driver.store.keys.payloads(ID))


def test_only_the_first_and_last_turns_stay_and_counters_for_the_rest(any_redis: Redis) -> None:
    long = LongHistory(any_redis, kept_turns=2)
    for _ in range(30):
        long.append(40, turns=[0, 13])
    before = long.driver.history()
    tidy(long.driver.runtime, ID)
    after, end = long.driver.history(), long.driver.describe()
    assert after == first_and_last(before, long.turns, 2)
    assert end.dropped_turns == 61 - 4
    assert sum(end.dropped.values()) + len(after) == long.last
    gone = [event for event in before if event not in after]
    assert end.dropped == {
        kind: sum(event.type == kind for event in gone) for kind in sorted({e.type for e in gone})
    }


def test_dropping_again_changes_nothing(any_redis: Redis) -> None:
    long = LongHistory(any_redis, kept_turns=1)
    for _ in range(5):
        long.append(3, turns=[0])
    tidy(long.driver.runtime, ID)
    end, events = long.driver.describe(), long.driver.history()
    tidy(long.driver.runtime, ID)
    assert long.driver.store.verb("compact", ID, page=10).verdict is Verdict.EMPTY
    assert (long.driver.describe(), long.driver.history()) == (end, events)


def test_events_are_dropped_a_few_at_a_time(any_redis: Redis) -> None:
    long = LongHistory(any_redis, kept_turns=1)
    long.append(3, turns=[0])
    long.append(2 * DROPPED_AT_ONCE, turns=[0, 600])
    compact = long.driver.store.verb("compact", ID, page=DROPPED_AT_ONCE)
    assert compact.applied
    assert sum(long.driver.describe().dropped.values()) == DROPPED_AT_ONCE


def test_what_may_be_dropped_later_is_not_archived(any_redis: Redis) -> None:
    long = LongHistory(any_redis, kept_turns=1)
    long.append(2500)
    long.append(4000, turns=[0])
    tidy(long.driver.runtime, ID)
    assert archived(long) == 2 * PAGE, "the first turn is kept for ever"
    long.append(100, turns=[0])
    tidy(long.driver.runtime, ID)
    assert ids(long) == [*range(1, long.turns[0]), *range(long.turns[1], long.last + 1)]
    assert archived(long) == 2 * PAGE


def test_a_short_loop_keeps_everything(any_redis: Redis) -> None:
    long = LongHistory(any_redis, kept_turns=3)
    for _ in range(5):
        long.append(3, turns=[0])
    tidy(long.driver.runtime, ID)
    assert ids(long) == list(range(1, long.last + 1))
    assert long.driver.describe().dropped == {}


def test_a_hundred_turns_are_a_reason_to_look(any_redis: Redis) -> None:
    long = LongHistory(any_redis, kept_turns=1)
    long.append(98, turns=range(98))
    assert not long.is_due()
    long.append(1, turns=[0])
    assert long.is_due()


def test_followers_get_archived_events_too(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        long = LongHistory(client)
        long.append(3500)
        long.sweep()
        engine, found = Engine(redis_url), [0]
        while found[-1] < long.last:
            batch = engine.follow("flow", "e-1", found[-1], 5.0)
            assert batch, "there is something new"
            found += [event.event_id for event in batch]
        assert found == list(range(long.last + 1))
        assert engine.follow("flow", "e-1", long.last, 0.01) == []


def test_a_page_costs_the_same_wherever_it_is(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        long = LongHistory(client)
        while long.last < 100_000:
            long.append(min(10_000, 100_000 - long.last))
            long.sweep()
        costs = {after: _cost(client, long, after) for after in (0, 500, 50_000, 98_500, 99_900)}
        print("commands and bytes for 100 events after:", costs)
        assert all(commands <= 6 for commands, _ in costs.values())
        assert all(size <= 60_000 for _, size in costs.values())


def _cost(client: Redis, long: LongHistory, after: int) -> tuple[int, int]:
    """Commands and bytes sent by the server for a page of 100 events."""
    before: Any = client.info()
    assert ids(long, after, 100) == list(range(after + 1, after + 101))
    now: Any = client.info()
    about_info = len(str(now))
    commands = now["total_commands_processed"] - before["total_commands_processed"] - 1
    return commands, now["total_net_output_bytes"] - before["total_net_output_bytes"] - about_info
