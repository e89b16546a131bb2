"""Events: an execution's history as it grows, by server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.api.access import Viewer, may_still
from engine.api.answers import event_answer
from engine.api.service import Service, Serving
from engine.core.events import Event
from engine.errors import EngineError, InvalidArgument, StoreUnavailable
from engine.runtime.pointer import execution_id
from engine.runtime.watching import standing_of

router = APIRouter(prefix="/v1", tags=["executions"])

PAGE = 500
STILL_HERE_S = 15.0
"""After so long without an event a comment is sent: proxies close what is silent."""

RETRY_MS = 1000
AWAY_S = 1.0
"""Pause before Redis is asked again."""

SENT = {
    "description": "Of each event that is sent.",
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get(
    "/flows/{flow}/executions/{name}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "An event each: `id` its id, `event` its type, `data` as in the history."
            " After the last of an execution that has ended comes `event: end`.",
            "content": {"text/event-stream": {"schema": SENT}},
        },
        204: {"description": "It has ended, and there is no event behind Last-Event-ID."},
    },
)
async def follow(
    flow: str,
    name: str,
    request: Request,
    service: Serving,
    caller: Viewer,
    after: Annotated[int, Query(ge=0, le=10**15)] = 0,
    last_event_id: Annotated[str | None, Header(description="Goes before `after`.")] = None,
) -> Response:
    """The events after an id, those there are and those to come, until the execution's end."""
    first = after if last_event_id is None else _number(last_event_id)
    status, last = await service.call(standing_of, service.engine.runtime, flow, name)
    if status.ended and first >= last:
        return Response(status_code=204)
    service.followers.take()
    return Following(service, _events(service, flow, name, first, partial(may_still, request)))


class Following(StreamingResponse):
    """Server-sent events; it has a place among the followers, and frees it."""

    def __init__(self, service: Service, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=HEADERS)
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them all."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._service.followers.free()


async def _events(
    service: Service, flow: str, name: str, after: int, may: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    while not service.closing.is_set():
        try:
            if not await may():
                return
            events = await service.call(
                service.engine.get_execution_history, flow, name, after, PAGE
            )
            after = events[-1].event_id if events else after
            status, last = await service.call(standing_of, service.engine.runtime, flow, name)
        except StoreUnavailable:
            # A browser that comes again and finds nothing does not come a third time.
            yield ": Redis does not answer\n\n"
            await pause(service)
            continue
        except EngineError:
            return
        yield "".join(map(written, events))
        if status.ended and last <= after:
            yield f"event: end\ndata: {json.dumps({'status': status.value})}\n\n"
            return
        identity = execution_id(flow, name)
        if last <= after and not await service.watch.changed(identity, after, STILL_HERE_S):
            yield ": still here\n\n"


async def pause(service: Service) -> None:
    """Waits before Redis is asked again; not when the process stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(service.closing.wait(), AWAY_S)


def written(event: Event) -> str:
    """An event as text of the protocol."""
    # The detail by itself: it may be nested more deeply than a model writes.
    data = event_answer(event).model_dump(mode="json", exclude={"detail"})
    text = json.dumps({**data, "detail": event.detail})
    return f"id: {event.event_id}\nevent: {event.type.value}\ndata: {text}\n\n"


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidArgument("Last-Event-ID must be the id of an event")
    return int(text)
