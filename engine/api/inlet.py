"""An inlet: a request's body on its way from the event loop to a thread that reads it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

MOST_HELD_BYTES = 256 * 1024
"""What is taken from the socket before somebody wants it: behind it the client is held up."""


class CallerGone(ConnectionError):
    """The client went away before it had sent everything."""


class Inlet:
    """Bytes put on the event loop's side, iterated in one thread. `received`: so many so far."""

    def __init__(self) -> None:
        self.received = 0
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._news = threading.Condition()
        self._held = bytearray()
        self._ended = False
        self._gone = False

    async def put(self, part: bytes) -> None:
        """Hands over a part, once there is room. Blocking, but not for the loop."""
        await self._room.wait()
        with self._news:
            self._held += part
            self.received += len(part)
            if len(self._held) >= MOST_HELD_BYTES:
                self._room.clear()
            self._news.notify()

    def end(self) -> None:
        """All has been put."""
        with self._news:
            self._ended = True
            self._news.notify()

    def fail(self) -> None:
        """The client is gone, or nobody is to read on. Idempotent; after `end` it does nothing."""
        with self._news:
            self._gone = not self._ended
            self._news.notify()
        self._room.set()

    def __iter__(self) -> Iterator[bytes]:
        """What was put, in parts of any size. Raises CallerGone."""
        while (part := self._take()) is not None:
            yield part

    def _take(self) -> bytes | None:
        with self._news:
            self._news.wait_for(lambda: self._held or self._ended or self._gone)
            if self._gone:
                raise CallerGone("the client went away before it had sent everything")
            if not self._held:
                return None
            part = bytes(self._held)
            self._held.clear()
        self._make_room()
        return part

    def _make_room(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._room.set)
