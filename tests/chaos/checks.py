"""What must hold after the chaos: ends, histories, and what is left in Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from redis import Redis

from engine.core.events import Event, EventType
from engine.core.history import NormalEvent, normalise
from engine.runtime.engine import Engine
from engine.runtime.keys import Keys
from tests.fundamentals.invariants import broken
from tests.stores import without_ttl
from tests.waiting import wait_until

ATTEMPTS = {
    str(kind)
    for kind in (
        EventType.TASK_SCHEDULED,
        EventType.TASK_STARTED,
        EventType.TASK_SUBMITTED,
        EventType.TASK_FAILED,
        EventType.TASK_TIMED_OUT,
    )
}
"""Events of attempts: how many there are is the one thing that a fault may change."""

Story = dict[str, list[NormalEvent]]


def story(history: Iterable[Event], place: str) -> Story:
    """A history without its attempts, and without the name of the folder that it worked in."""
    frames = normalise(history, hide=lambda text: text.startswith(place))
    return {
        frame: [event for event in events if event[0] not in ATTEMPTS]
        for frame, events in frames.items()
    }


def story_of(engine: Engine, flow: str, name: str, place: str) -> Story:
    """The story of an execution."""
    return story(engine.get_execution_history(flow, name), place)


def wrong(engine: Engine, flow: str, name: str) -> list[str]:
    """What is wrong with a history in itself: ids, causes, each transition once."""
    return broken(engine.get_execution_history(flow, name))


def left_over(redis: Redis, keys: Keys) -> list[str]:
    """What is left when everything has ended: keys for ever, messages, timers, leases."""
    wait_until(lambda: not _busy(redis, keys), 15)
    found = without_ttl(redis)
    for key in (keys.dispatch, keys.lease, keys.timers):
        entries: Any = redis.zrange(key, 0, 4)
        found += [f"{key}: {entry}" for entry in entries]
    return found


def _busy(redis: Redis, keys: Keys) -> bool:
    sizes: list[Any] = [redis.zcard(key) for key in (keys.dispatch, keys.lease, keys.timers)]
    return any(sizes) or bool(redis.llen(keys.queue))


def counted(engine: Engine, names: Iterable[tuple[str, str]]) -> Counter[str]:
    """What the executions report of themselves, together."""
    total: Counter[str] = Counter()
    for flow, name in names:
        record = engine.runtime.store.record(f"{flow}:{name}")
        for figure in ("handovers", "redispatches", "duplicates", "refused"):
            total[figure] += int(record.get(figure, 0))
    return total
