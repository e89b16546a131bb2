"""Long histories: executions whose events are appended in masses, by the product's own script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from redis import Redis

from engine.core.events import EventType
from engine.runtime.scripts import PRELUDE
from tests.driving import Driver

ID = "flow:e-1"
KINDS = (EventType.STEP_ENTERED, EventType.STEP_SUCCEEDED, EventType.STEP_EXITED)
NIGHT = {"type": "wait", "name": "night", "duration": 86400}


class LongHistory:
    """An execution that waits, and whose history grows by as many events as a test wants.

    `kept_turns`: its flow's option. `turns` has the ids with which turns after the first began.
    """

    def __init__(self, redis: Redis, kept_turns: int | None = None) -> None:
        self.driver = Driver(redis, {})
        option = {} if kept_turns is None else {"history": {"turns": kept_turns}}
        flow = {"version": "v1", "type": "flow", **option, "steps": [NIGHT]}
        self.driver.deploy(json.dumps(flow))
        self.driver.start()
        while self.driver.step():
            pass
        self.turns: list[int] = []
        self.last = len(self.driver.history())
        folder = files("engine.runtime") / "lua"
        parts = [(folder / f"_{part}.lua").read_text() for part in PRELUDE]
        body = "return record(order.events, 0)"
        self._script = redis.register_script("\n".join([*parts, body]))

    def append(self, count: int, turns: Sequence[int] = ()) -> None:
        """Adds events in one step; `turns`: at which of them, from 0, turns begin."""
        self.turns += [self.last + 1 + at for at in turns]
        rows: list[list[Any]] = [
            [KINDS[(self.last + at) % 3], f"s{at % 7}", "", "", json.dumps({"input": {"n": at}})]
            for at in range(count)
        ]
        for at in turns:
            rows[at].append(1)
        order = {"id": ID, "call": "", "events": rows}
        self._script(keys=self.driver.store.keys.execution(ID), args=[json.dumps(order)])
        self.last += count

    def live(self) -> int:
        """How many events are in the stream."""
        length: Any = self.driver.redis.xlen(self.driver.store.keys.history(ID))
        return int(length)

    def is_due(self) -> bool:
        """True when the sweepers are asked to look after it."""
        entry = f"history|{ID}||"
        return self.driver.redis.zscore(self.driver.store.keys.timers, entry) is not None

    def sweep(self) -> None:
        """Sweeps until nobody needs to look after it any more."""
        while self.is_due():
            self.driver.sweep()


class Interrupted:
    """A client before each of whose commands somebody else may do something."""

    def __init__(self, redis: Redis, meanwhile: Callable[[], None]) -> None:
        self._redis = redis
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        self._meanwhile()
        return getattr(self._redis, name)
