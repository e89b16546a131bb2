"""What a reader of a history sees, whatever is appended, archived and dropped meanwhile."""

from __future__ import annotations

import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.core.turns import first_and_last
from engine.runtime import views
from engine.runtime.archiving import tidy
from engine.runtime.embedded import EmbeddedRedis
from tests.long_histories import ID, Interrupted, LongHistory

# The server is shared on purpose: every example empties it.
shared = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
appended = st.integers(1, 1500)
limits = st.integers(1, 1200)
doings = st.lists(st.one_of(st.none(), appended), max_size=12)
"""What others do: None: a sweeper comes by; a number: so many events are recorded."""


class Reader:
    """Reads page by page, while others do things between any two commands to the store."""

    def __init__(self, long: LongHistory, doings: list[int | None], turn_every: int = 0) -> None:
        self.long = long
        self.doings = list(doings)
        self.turn_every = turn_every
        self.redis = long.driver.redis
        self.found: list[int] = []

    def read(self, limit: int) -> bool:
        """Reads the next page; False: there was nothing."""
        store = self.long.driver.store
        store.redis = Interrupted(self.redis, self._meanwhile)  # type: ignore[assignment]
        after = self.found[-1] if self.found else 0
        page = views.history(self.long.driver.runtime, "flow", "e-1", after, limit)
        store.redis = self.redis
        assert len(page) <= limit
        self.found += [event.event_id for event in page]
        return bool(page)

    def _meanwhile(self) -> None:
        if not self.doings:
            return
        store, doing = self.long.driver.store, self.doings.pop()
        interrupted, store.redis = store.redis, self.redis
        if doing is None:
            tidy(self.long.driver.runtime, ID)
        else:
            turns = range(0, doing, self.turn_every) if self.turn_every else ()
            self.long.append(doing, turns)
        store.redis = interrupted


def long_on(server: EmbeddedRedis, kept_turns: int | None = None) -> LongHistory:
    client = redis.Redis.from_url(server.url, decode_responses=True)
    client.flushall()
    return LongHistory(client, kept_turns)


@shared
@given(appended, doings, st.lists(limits, min_size=1, max_size=8))
def test_every_event_is_read_once_and_in_order(
    redis_server: EmbeddedRedis, first: int, doings: list[int | None], pages: list[int]
) -> None:
    long = long_on(redis_server)
    long.append(first)
    reader = Reader(long, doings)
    turn = 0
    while reader.read(pages[turn % len(pages)]) or reader.doings:
        turn += 1
    assert reader.found == list(range(1, long.last + 1))


@shared
@given(st.integers(1, 3), st.integers(5, 400), doings, limits)
def test_of_turns_that_are_dropped_the_kept_ones_are_read_and_the_others_counted(
    redis_server: EmbeddedRedis, kept: int, turn_every: int, doings: list[int | None], limit: int
) -> None:
    long = long_on(redis_server, kept)
    reader = Reader(long, doings, turn_every)
    while reader.read(limit) or reader.doings:
        continue
    tidy(long.driver.runtime, ID)
    left = views.history(long.driver.runtime, "flow", "e-1")
    ids = [event.event_id for event in left]
    whole = [event for event in range(1, long.last + 1)]
    begins = long.turns
    middle = range(begins[kept - 1], begins[-kept]) if len(begins) >= 2 * kept else ()
    assert ids == [number for number in whole if number not in middle]
    assert sum(long.driver.describe().dropped.values()) == len(whole) - len(ids)
    assert first_and_last(left, begins, kept) == left
    assert reader.found == sorted(set(reader.found))
    assert set(ids) <= set(reader.found), "what is kept is never missed"
