"""The fleet: which workers live, what they serve and how many slots they have."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from engine.runtime.clock import StoreClock
from engine.runtime.keys import Keys

ANNOUNCE_TTL_S = 15.0
"""A worker that has not announced itself for so long is gone."""

FORGET_S = 3600.0
"""When the name of a worker that is gone is forgotten."""

CACHE_S = 1.0


@dataclass(frozen=True, slots=True)
class Served:
    """A task that some live worker has, the queue it takes it from, and its own time limit."""

    name: str
    queue: str
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker announces: `tasks` maps task names to [queue, timeout_s].

    `memory` names the shared memory that it sees; "": none.
    """

    node: str
    slots: int
    tasks: Mapping[str, tuple[str, float | None]]
    memory: str = ""


class Fleet:
    """Reads and writes the workers' announcements; what it read is at most CACHE_S old."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = StoreClock(redis)
        self._workers: tuple[WorkerInfo, ...] = ()
        self._read_at = float("-inf")

    def announce(self, info: WorkerInfo) -> None:
        """Says that a worker lives. Idempotent; to be repeated well within ANNOUNCE_TTL_S."""
        told = {"slots": info.slots, "tasks": dict(info.tasks), "memory": info.memory}
        text = json.dumps(told)
        now_s = self._clock.now_s()
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(self._keys.worker(info.node), text, px=round(ANNOUNCE_TTL_S * 1000))
        pipe.zadd(self._keys.workers, {info.node: now_s + ANNOUNCE_TTL_S})
        pipe.zremrangebyscore(self._keys.workers, "-inf", now_s - FORGET_S)
        pipe.pexpire(self._keys.workers, round(FORGET_S * 1000))
        pipe.execute()

    def leave(self, node: str) -> None:
        """Says that a worker is gone. Idempotent."""
        self._redis.delete(self._keys.worker(node))
        self._redis.zrem(self._keys.workers, node)

    def workers(self, fresh: bool = False) -> tuple[WorkerInfo, ...]:
        """The live workers. Cost: O(workers), at most once per CACHE_S unless `fresh`."""
        if fresh or time.monotonic() - self._read_at > CACHE_S:
            members: Any = self._redis.zrange(self._keys.workers, 0, -1)
            nodes = [str(node) for node in members]
            keys = [self._keys.worker(node) for node in nodes]
            texts: Any = self._redis.mget(keys) if keys else []
            self._workers = tuple(
                WorkerInfo(node, **json.loads(str(text)))
                for node, text in zip(nodes, texts, strict=True)
                if text
            )
            self._read_at = time.monotonic()
        return self._workers

    def memory(self) -> str:
        """Names the shared memory that all live workers see; "": they see none, or several.

        Cost: O(workers).
        """
        seen = {worker.memory for worker in self.workers(fresh=True)}
        return seen.pop() if len(seen) == 1 else ""

    def slots(self) -> int:
        """Slots of all live workers, at least 1."""
        return max(1, sum(worker.slots for worker in self.workers()))

    def serving(self, names: Iterable[str]) -> Served | None:
        """The first of `names` that a live worker serves; looks twice before it says None."""
        candidates = tuple(names)
        return self._serving(candidates, False) or self._serving(candidates, True)

    def _serving(self, names: tuple[str, ...], fresh: bool) -> Served | None:
        workers = self.workers(fresh)
        for name in names:
            for worker in workers:
                if name in worker.tasks:
                    return Served(name, *worker.tasks[name])
        return None
