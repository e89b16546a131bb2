"""Watching: many followers of histories in one process share one connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from redis import asyncio as aio
from redis.exceptions import RedisError

from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists
from engine.runtime.health import redis_errors
from engine.runtime.keys import Keys
from engine.runtime.pointer import execution_id
from engine.runtime.runtime import Runtime

LOOK_MS = 40
"""How long one look lasts when nothing happens; who comes meanwhile is in the next one."""

AWAY_S = 0.5
"""Pause before the next look at a Redis that does not answer."""

ANSWER_S = 10.0
"""When an answer of Redis counts as lost."""


class HistoryWatch:
    """Tells followers that a history has grown. For one event loop; `close` ends it."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._keys = keys
        self._redis: Any = aio.Redis.from_url(
            url, decode_responses=True, socket_timeout=ANSWER_S, socket_keepalive=True
        )
        self._waiting: dict[str, dict[asyncio.Future[bool], int]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    async def changed(self, execution_id: str, after: int, timeout_s: float) -> bool:
        """Waits for an event above `after`; False when none came in time.

        It may be True without one, as when Redis went away: what there is, the views tell.
        """
        if self._ended:
            return True
        news: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        key = self._keys.history(execution_id)
        self._waiting.setdefault(key, {})[news] = after
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            return await asyncio.wait_for(news, max(timeout_s, 0))
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting[key]
            del waiting[news]
            if not waiting:
                del self._waiting[key]

    def end(self) -> None:
        """From now on nobody waits: who does, and who comes, is told at once to look."""
        self._ended = True
        self._tell_all()

    async def close(self) -> None:
        """Ends the looking, too. Idempotent."""
        self.end()
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _look(self) -> None:
        """Looks while anybody waits, one question at a time for all of them."""
        try:
            while self._waiting:
                after = {key: f"{min(each.values())}-0" for key, each in self._waiting.items()}
                try:
                    found: Any = await self._redis.xread(after, count=1, block=LOOK_MS)
                except (RedisError, OSError):
                    self._tell_all()
                    await asyncio.sleep(AWAY_S)
                    continue
                for key, entries in found:
                    self._tell(str(key), int(str(entries[0][0]).partition("-")[0]))
                await asyncio.sleep(0)  # who was told leaves before the next look
        finally:
            # Before anything is awaited: who comes now must find that nobody looks.
            self._looking = None

    def _tell(self, key: str, event_id: int) -> None:
        for news, after in self._waiting.get(key, {}).items():
            if after < event_id and not news.done():
                news.set_result(True)

    def _tell_all(self) -> None:
        """Has everybody who waits look for himself."""
        for waiting in self._waiting.values():
            for news in waiting:
                if not news.done():
                    news.set_result(True)


@redis_errors()
def standing_of(runtime: Runtime, flow: str, name: str) -> tuple[ExecutionStatus, int]:
    """An execution's status, and the id of its last event. Cost: O(1).

    Raises:
        ExecutionNotExists.
    """
    record = runtime.store.keys.record(execution_id(flow, name))
    status, last = runtime.store.redis.hmget(record, ["status", "events"])  # type: ignore[misc]
    if status is None:
        raise ExecutionNotExists(f"flow {flow!r} has no execution {name!r}")
    return ExecutionStatus(status), int(last or 0)
