"""Traces: the executions that have ended and whose traces are to be exported."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from engine.errors import ExecutionNotExists
from engine.runtime.pointer import execution_id
from engine.runtime.runtime import Runtime
from engine.runtime.spans import ROOT, Place, Span, attempt_key, place_of, trace_id_of
from engine.runtime.tracing import TraceBuilder
from engine.runtime.views import history

KEPT_TRACES = 10_000
"""How many wait for an exporter at most; the oldest go."""

KEPT_S = 86_400

PAGE = 1000
MAX_EVENTS = 20_000
"""Events that are read for one trace; what comes after them in time is not in it."""

MAX_CHILDREN = 100
"""Sub-flows of one trace that it has links to."""


class Traces:
    """What one process does about traces. Nothing, and no call to Redis, while none are sampled."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._redis = runtime.store.redis
        self._key = runtime.store.keys.traces
        self._share = runtime.store.settings.trace_sample

    def sampled(self, identity: str) -> bool:
        """True if the execution of that id is one of those to be traced: everywhere the same."""
        if self._share <= 0:
            return False
        digest = sha256(identity.encode()).digest()
        return int.from_bytes(digest[:8]) < self._share * 2**64

    def ended(self, identity: str) -> None:
        """Notes that an execution has ended. Idempotent. Cost: O(log n), if it is sampled."""
        if not self.sampled(identity):
            return
        now = self._runtime.store.clock.now_s()
        with self._redis.pipeline(transaction=False) as calls:
            calls.zadd(self._key, {identity: now})
            calls.zremrangebyrank(self._key, 0, -(KEPT_TRACES + 1))
            calls.expire(self._key, KEPT_S)
            calls.execute()

    def take(self) -> str | None:
        """The id of an execution whose trace nobody else exports now, None if there is none.

        One that could not be exported is noted again (`ended`), and so comes after the others.
        """
        found: Any = self._redis.zpopmin(self._key)
        return str(found[0][0]) if found else None

    def load(self, identity: str) -> list[Span]:
        """The spans of an execution's last run; none if it is gone, or goes on after a redrive.

        Nor are there any once it has ended so long ago that it was tried often enough.
        Cost: O(its history), up to `MAX_EVENTS`.
        """
        record = self._runtime.store.record(identity)
        stopped_s = int(record.get("stopped_ms", 0)) / 1000
        if stopped_s < self._runtime.store.clock.now_s() - KEPT_S:
            return []
        flow, name = record["flow"], record["name"]
        builder = TraceBuilder(flow, name, int(record["started_ms"]))
        after = 0
        while after < MAX_EVENTS:
            try:
                events = history(self._runtime, flow, name, after, PAGE)
            except ExecutionNotExists:
                return []
            for event in events:
                builder.add(event)
            if len(events) < PAGE:
                break
            after = events[-1].event_id
        builder.end(stopped_s, record["status"])
        self._link(builder, record)
        return builder.spans()

    def _link(self, builder: TraceBuilder, record: dict[str, str]) -> None:
        """Links between an execution and the one that has started it, both ways."""
        parent = json.loads(record.get("notify") or "{}")
        if "visit" in parent:
            key = attempt_key(parent["visit"], int(parent["attempt"]))
            self._add(builder.root, parent["flow"], parent["execution"], key)
        for span, flow, name in builder.submitted[:MAX_CHILDREN]:
            self._add(span, flow, name, ROOT)

    def _add(self, span: Span, flow: str, name: str, key: str) -> None:
        place = self._place(flow, name, key)
        if place is not None:
            span.links.append(place)

    def _place(self, flow: str, name: str, key: str) -> Place | None:
        identity = execution_id(flow, name)
        if not self.sampled(identity):
            return None
        trace_id = self.trace_id(identity)
        return None if trace_id is None else place_of(trace_id, key)

    def trace_id(self, identity: str) -> int | None:
        """The id of an execution's trace, None if it is gone. Cost: O(1)."""
        key = self._runtime.store.keys.record(identity)
        started_ms = self._redis.hget(key, "started_ms")
        flow, _, name = identity.partition(":")
        return trace_id_of(flow, name, int(str(started_ms))) if started_ms else None
