"""Streaming: where the streams of executions are kept, and the program at the outer ends of one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from redis import Redis

from engine.config import Settings
from engine.core.streaming import SINK, SOURCE
from engine.runtime.clock import StoreClock
from engine.runtime.keys import Keys
from streams.connection import connect
from streams.edge import Edge
from streams.run import StreamBridge
from streams.spool import Spool, sweep

CALLER_S = 10.0
"""A caller that has not been heard of for so long has gone away."""

KEPT_S = 600.0
"""How long the keys of a stream live when nobody renews them."""

SPOOLED_S = 86_400.0
"""How long input is kept that nobody has removed: its processes died, or its step was not retried.
"""

LEARNED_S = 7 * 86_400.0
"""How long it is known how many bytes the edges of a step have carried."""

FOR_EVER_S = 1e9
"""For ends that wait as long as their execution does."""

SENDS, READS = "sends", "reads"
"""What the record of an execution says of its caller: that it sends and reads, or only reads."""

RUN = "run:"
"""What the fields of a caller begin with that name the runs which write to it."""

WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes that may be under way on an edge between a caller and its stream."""


class Streams:
    """Finds the streams of executions. Safe to share between threads, not across a fork.

    `redis`: a client that returns texts, for what is no stream; the streams have one for bytes.
    """

    def __init__(self, url: str, settings: Settings, keys: Keys, redis: Redis) -> None:
        self.settings = settings
        self._url = url
        self._keys = keys
        self._texts = redis
        self._clock = StoreClock(redis)

    @cached_property
    def redis(self) -> Redis:
        """The client for bytes."""
        return connect(self._url)

    def prefix(self, execution_id: str) -> str:
        """What the keys of all streams of an execution begin with; they share a hash tag."""
        return f"{self._keys.prefix}:{{s:{self._digest(execution_id)}}}"

    def bridge(self, execution_id: str, run: str) -> StreamBridge:
        """The run of a stream step, by `engine.core.frame.run_key`."""
        prefix, memory = self.prefix(execution_id), self.settings.stream_memory
        return StreamBridge(self.redis, prefix, run_name(run), ttl_s=KEPT_S, memory=memory)

    def caller(self, execution_id: str, idle_s: float | None = None) -> Caller:
        """The program that sends and reads an execution's bytes, whether there is one or not.

        `idle_s`: how long its ends wait for the other side; None: as the settings say.
        """
        idle_s = self.settings.stream_idle_s if idle_s is None else idle_s
        return Caller(self, self._texts, self.prefix(execution_id), idle_s)

    def spool(self, execution_id: str, name: str) -> Spool:
        """Where the input of a stream is kept; `name`: which one."""
        return Spool(self.spool_folder, f"{self._digest(execution_id)}-{name}")

    def drop_spools(self, execution_id: str, name: str) -> None:
        """Removes the spools of an execution whose names begin so. Idempotent."""
        for path in self.spool_folder.glob(f"{self._digest(execution_id)}-{name}*"):
            Spool(self.spool_folder, path.name).delete()

    def sweep_spools(self) -> None:
        """Removes the spools of streams that nobody has come back to. Cost: O(spools)."""
        sweep(self.spool_folder, SPOOLED_S)

    @property
    def spool_folder(self) -> Path:
        """The folder of all kept input."""
        own = Path(tempfile.gettempdir()) / f"penstock-spool-{os.getuid()}"
        return self.settings.stream_spool or own

    def _digest(self, execution_id: str) -> str:
        return hashlib.sha1(execution_id.encode(), usedforsecurity=False).hexdigest()[:20]

    # which slots are taken, what is known of earlier runs

    def occupy(self, seats: Mapping[str, float]) -> None:
        """Says that seats are taken, each for so many seconds from now. Idempotent."""
        if not seats:
            return
        now_s = self._clock.now_s()
        pipe = self._texts.pipeline(transaction=False)
        pipe.zadd(self._keys.seats, {seat: now_s + lasts_s for seat, lasts_s in seats.items()})
        pipe.zremrangebyscore(self._keys.seats, "-inf", now_s)
        pipe.pexpire(self._keys.seats, round(KEPT_S * 1000))
        pipe.execute()

    def vacate(self, seats: Sequence[str]) -> None:
        """Says that seats are free again. Idempotent."""
        if seats:
            self._texts.zrem(self._keys.seats, *seats)

    def busy(self) -> int:
        """How many slots of the fleet work: on steps, or on parts of streams. Cost: O(log N)."""
        pipe = self._texts.pipeline(transaction=False)
        pipe.zcard(self._keys.lease)
        pipe.zcount(self._keys.seats, self._clock.now_s(), "+inf")
        steps, seats = pipe.execute()
        return int(steps) + int(seats)

    def learned(self, step: str) -> tuple[int, ...]:
        """The bytes that each edge between two stages of a step has last carried; () if unknown."""
        text = self._texts.get(f"{self._keys.carried}:{step}")
        return tuple(json.loads(str(text))) if text else ()

    def learn(self, step: str, carried: Sequence[int]) -> None:
        """Remembers that. `step`: its definition and path."""
        text = json.dumps(list(carried))
        self._texts.set(f"{self._keys.carried}:{step}", text, px=round(LEARNED_S * 1000))


class Caller:
    """The program at the outer ends of an execution's streams: it sends a source, reads a sink.

    The first stream step that asks for an end has it, and keeps it for its retries.
    """

    def __init__(self, streams: Streams, redis: Redis, prefix: str, idle_s: float) -> None:
        self._streams = streams
        self._redis = redis
        self._idle_s = idle_s
        self._key = f"{prefix}:caller"
        self._runs = f"{prefix}:caller:runs"
        self.source_key = f"{prefix}:source"
        self._prefix = prefix

    # by the program

    def attach(self, client: str, sends: bool) -> bool:
        """Becomes the execution's caller; False if it has one. Idempotent."""
        if self._settled(["client"], client)["client"] != client:
            return False
        pipe = self._redis.pipeline()
        pipe.hset(self._key, "sends", "1" if sends else "0")
        pipe.pexpire(self._key, round(CALLER_S * 1000))
        pipe.execute()
        return True

    def keep(self) -> None:
        """Says that the caller is there. To be repeated well within CALLER_S."""
        self._redis.pexpire(self._key, round(CALLER_S * 1000))

    def next_run(self, timeout_s: float) -> str | None:
        """The next run that writes to this caller. Blocking; None: none came in time."""
        found: Any = self._redis.blpop([self._runs], timeout_s)
        return str(found[1]) if found else None

    def detach(self) -> None:
        """The caller has all it wanted; what is left of its ends goes, also what it has not read.
        Idempotent.
        """
        self.source().delete()
        fields: Any = self._redis.hkeys(self._key)
        for field in fields:
            if field.startswith(RUN):
                self.sink(field.removeprefix(RUN)).delete()
        self._redis.delete(self._key, self._runs)

    # by both

    def source(self, may_share: bool = True) -> Edge:
        """The edge on which the caller sends. `may_share`: see Edge."""
        return self._edge(self.source_key, may_share)

    def sink(self, run: str) -> Edge:
        """The edge on which a run writes to the caller; `run`: as `next_run` gives it."""
        return self._edge(f"{self._prefix}:{run}:out", may_share=True)

    # by the stream

    def present(self) -> bool:
        """False if there is no caller, or none any more."""
        return bool(self._redis.hexists(self._key, "client"))

    def lends(self, visit: str, run: str, ends: Collection[str]) -> set[str]:
        """Which of these ends, SOURCE and SINK, this run of a visit of a step has. Idempotent.

        Of two that want both at the same time one has both.
        """
        if not self.present():
            return set()
        sends = self._redis.hget(self._key, "sends") == "1"
        wanted = [end for end in ends if sends or end != SOURCE]
        if not wanted:  # who needs no caller does not say that it is there
            return set()
        lent = {end for end, holder in self._settled(wanted, visit).items() if holder == visit}
        if SINK in lent:
            self._tell_of(run_name(run))
        return lent

    def _tell_of(self, name: str) -> None:
        """Lets the caller know of a run that writes to it."""
        if not self._redis.hexists(self._key, RUN + name):
            self.sink(name).create()
            pipe = self._redis.pipeline()
            pipe.rpush(self._runs, name)
            pipe.pexpire(self._runs, round(KEPT_S * 1000))
            pipe.execute()
            self._settled([RUN + name], "1")  # told twice is well, never is not

    def _settled(self, fields: Sequence[str], value: str) -> dict[str, str | None]:
        """What the first has said. Atomic: also when the caller goes meanwhile no key stays."""
        pipe = self._redis.pipeline()
        for field in fields:
            pipe.hsetnx(self._key, field, value)
        pipe.pexpire(self._key, round(CALLER_S * 1000))
        for field in fields:
            pipe.hget(self._key, field)
        settled: list[str | None] = pipe.execute()[len(fields) + 1 :]
        return dict(zip(fields, settled, strict=True))

    def _edge(self, key: str, may_share: bool) -> Edge:
        return Edge(
            self._streams.redis,
            key,
            window_bytes=WINDOW_BYTES,
            ttl_s=KEPT_S,
            idle_s=self._idle_s,
            may_share=may_share,
            memory=self._streams.settings.stream_memory,
        )


def source_spool(visit: str) -> str:
    """The name of the spool of what a caller has sent to a visit of a step."""
    return f"{SOURCE}-{run_name(visit)}"


def run_name(run: str) -> str:
    """A run's name in its keys: short, and of plain characters."""
    return "r" + hashlib.sha1(run.encode(), usedforsecurity=False).hexdigest()[:12]
