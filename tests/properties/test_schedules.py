"""Schedules under many sweepers that die and overtake one another: one start per fire time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.firing import Firing
from engine.runtime.schedules import Overlap, ScheduleChange, Schedules
from tests.driving import Died, Driver
from tests.properties.test_runtime_properties import driven

WAITS = "version: v1\ntype: flow\nsteps: [{type: wait, name: night, duration: 86400}]"
EVERY_S = 10
DEEPEST = 3
"""So many sweepers are in the middle of one schedule's fire at most."""

ALLOW = st.lists(st.sampled_from(["fire", "backfill"]), max_size=12)
EXPIRE = st.lists(st.sampled_from(["fire", "fire", "expire"]), max_size=12)
SEEDS = st.integers(0, 10_000)


class Fleet:
    """Sweepers of one schedule. At each call of the store one may die, or another overtake it."""

    def __init__(self, client: redis.Redis, overlap: Overlap, seed: int) -> None:
        self.random = Random(seed)
        self.driver = Driver(client, {})
        self.driver.deploy(WAITS)
        self.schedules = Schedules(self.driver.runtime)
        wanted = ScheduleChange(f"@every {EVERY_S}s", catch_up="all", catch_up_limit=1000)
        self.schedules.create("flow", "often", wanted)
        self.schedules.update("flow", "often", ScheduleChange(overlap=overlap))
        self.starts: Counter[int] = Counter()
        # Time passes before anything starts: later, another fire time would get a name again.
        self.driver.pass_time(EVERY_S * self.random.randint(1, 80) + 3)
        self.driver.scripts.watch = self._between
        self._depth = 0
        self._troubled = True

    def do(self, action: str) -> None:
        """Something happens."""
        match action:
            case "fire":
                self.fire()
            case "expire":
                self._expire()
            case _:
                self._backfill()
        self._look()

    def fire(self) -> None:
        """A sweeper fires the schedule; what it was at when it died is left to others."""
        self._depth += 1
        try:
            Firing(self.driver.runtime).fire("flow/often")
        except Died:
            pass
        finally:
            self._depth -= 1

    def settle(self) -> None:
        """All is quiet, and sweepers do what is left."""
        self._troubled = False
        while (self.schedules.describe("flow", "often").next_time or 0) <= self._now_s():
            self.fire()
            self._look()

    def fires(self) -> int:
        """How many fire times have come since the schedule was made."""
        schedule = self.schedules.describe("flow", "often")
        return self._number((schedule.next_time or 0) - EVERY_S)

    def _between(self) -> None:
        if not (self._depth and self._troubled):
            return
        if self.random.random() < 0.1:
            raise Died
        if self._depth < DEEPEST and self.random.random() < 0.3:
            self.fire()

    def _look(self) -> None:
        """Counts the starts that there were, by the number of their fire time."""
        for message in self.driver.collect():
            name = message.pointer.execution.removeprefix("often-")
            moment = datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            self.starts[self._number(moment.timestamp())] += 1
        self.driver.hand.clear()

    def _expire(self) -> None:
        """The retention of everything is over."""
        keys, client = self.driver.store.keys, self.driver.redis
        for identity in client.zrange(keys.executions, 0, -1):  # type: ignore[union-attr]
            client.delete(keys.record(str(identity)))
            client.zrem(keys.executions, str(identity))

    def _backfill(self) -> None:
        self._depth += 1
        try:
            start_s = self._now_s() - EVERY_S * self.random.randint(5, 80)
            self.schedules.backfill("flow", "often", start_s, start_s + 5 * EVERY_S - 1)
        except Died:
            pass
        finally:
            self._depth -= 1

    def _number(self, moment: float) -> int:
        """Which fire time a moment is."""
        anchor = self.schedules.describe("flow", "often").anchor
        assert (moment - anchor) % EVERY_S == 0
        return round((moment - anchor) / EVERY_S)

    def _now_s(self) -> float:
        return self.driver.now_ms() / 1000


def fleet_on(server: EmbeddedRedis, overlap: Overlap, seed: int) -> Fleet:
    client = redis.Redis.from_url(server.url, decode_responses=True)
    client.flushall()
    return Fleet(client, overlap, seed)


@pytest.mark.parametrize("overlap", ["allow", "skip", "stop-previous"])
@given(EXPIRE, SEEDS)
@driven
def test_each_fire_time_is_started_or_left_out_once(
    redis_server: EmbeddedRedis, overlap: Overlap, actions: list[str], seed: int
) -> None:
    fleet = fleet_on(redis_server, overlap, seed)
    for action in actions:
        fleet.do(action)
    fleet.settle()
    skipped = fleet.schedules.describe("flow", "often").skipped
    assert set(fleet.starts.values()) <= {1}
    assert len(fleet.starts) + skipped == fleet.fires()
    if overlap == "allow":
        assert sorted(fleet.starts) == list(range(1, fleet.fires() + 1))


@given(ALLOW, SEEDS)
@driven
def test_a_backfill_and_the_clock_share_the_fire_times(
    redis_server: EmbeddedRedis, actions: list[str], seed: int
) -> None:
    fleet = fleet_on(redis_server, "allow", seed)
    for action in actions:
        fleet.do(action)
    fleet.settle()
    assert set(fleet.starts.values()) <= {1}
    assert set(range(1, fleet.fires() + 1)) <= set(fleet.starts)
