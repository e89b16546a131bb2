"""Live: snapshots of an execution that follow one another, by server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from engine.api.console.snapshot import View
from engine.api.events import pause
from engine.api.service import Service
from engine.errors import EngineError, StoreUnavailable

EVERY_S = 0.25
"""The shortest time between two snapshots."""

STREAMING_S = 0.5
"""How often a stream's edges are looked at: no event tells of chunks."""

STILL_HERE_S = 15.0


async def snapshots(
    service: Service, view: View, may: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """A snapshot at once and after each change; `end` after the last one of an ended execution.

    Ends, too, when `may` says that its reader may not go on.
    """
    yield "retry: 1000\n\n"
    last = ""
    while not service.closing.is_set():
        try:
            if not await may():
                return
            taken = await service.call(view.take)
        except StoreUnavailable:
            # A browser that comes again and finds nothing does not come a third time.
            yield ": Redis does not answer\n\n"
            await pause(service)
            continue
        except EngineError:
            return  # the page comes again by itself, and is told then
        text = json.dumps(taken, ensure_ascii=True, separators=(",", ":"))
        seen = taken["execution"]["last_event"]
        yield ": still here\n\n" if text == last else _written("snapshot", seen, text)
        last = text
        if taken["execution"]["ended"]:
            yield _written("end", seen, "{}")
            return
        await asyncio.sleep(EVERY_S)
        await _news(service, view, taken)


async def _news(service: Service, view: View, taken: dict[str, Any]) -> None:
    """Waits until there may be something new."""
    if taken["streaming"]:
        await asyncio.sleep(STREAMING_S - EVERY_S)
        return
    seen = taken["execution"]["last_event"]
    changed = service.watch.changed(view.inspector.identity, seen, STILL_HERE_S)
    news = asyncio.ensure_future(changed)
    closing = asyncio.ensure_future(service.closing.wait())
    try:
        await asyncio.wait({news, closing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()
        closing.cancel()


def _written(kind: str, event: int, data: str) -> str:
    return f"id: {event}\nevent: {kind}\ndata: {data}\n\n"
