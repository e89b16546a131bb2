"""A streamed answer: bytes from an execution to a client, at the pace of the slower of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from fastapi import Response
from starlette.types import Receive, Scope, Send

from engine.api.connections import IDLE_S
from engine.api.inlet import Inlet
from engine.api.problems import problem
from engine.api.service import Service
from engine.errors import (
    EngineError,
    ExecutionAlreadyCompleted,
    ExecutionFailed,
    ExecutionNotExists,
    StoreUnavailable,
)
from engine.runtime.streamed import CLOSED, StreamedExecution
from streams.errors import StreamError

NAME_HEADER = "Penstock-Execution"
CLIENT_GONE = "the client that read its stream went away"
SERVICE_ENDS = "the API that served its stream was ended"


class StreamedAnswer(Response):
    """The answer to a streamed call; it has a place among the service's streams, and frees it.

    `wait_s`: the head is sent after that time at the latest; None: with the first byte.
    """

    def __init__(
        self,
        service: Service,
        streamed: StreamedExecution,
        inlet: Inlet | None,
        media_type: str,
        wait_s: float | None,
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.headers[NAME_HEADER] = streamed.execution.name
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"
        self._service = service
        self._streamed = streamed
        self._inlet = inlet
        self._wait_s = wait_s
        self._begun = False
        self._ended = False
        self._leaving: set[asyncio.Task[Any]] = set()
        self._idle_s = IDLE_S if inlet is not None else None
        # Its own thread: the next bytes may be long in coming.
        self._thread = ThreadPoolExecutor(1, "penstock-answer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends everything; when the client goes away, or we do, the execution is stopped."""
        self._leaving = {
            asyncio.create_task(self._listen(receive)),
            asyncio.create_task(self._service.closing.wait()),
        }
        try:
            # A process that ends cancels what is left: there is nobody to be told.
            with suppress(asyncio.CancelledError):
                await self._answer(send)
        finally:
            for each in self._leaving:
                each.cancel()
            await asyncio.shield(self._leave())

    async def _answer(self, send: Send) -> None:
        try:
            while (chunk := await self._next(send)) is not None:
                await self._begin(send)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._service.tally.stream_bytes_out += len(chunk)
        except EngineError as failed:
            self._ended = not isinstance(failed, StoreUnavailable)
            # Once bytes have gone out, the way to say it is to break off.
            if not self._begun:
                await self._fail(failed, send)
            return
        if self._ended:
            await self._begin(send)
            await send({"type": "http.response.body", "body": b""})

    async def _next(self, send: Send) -> bytes | None:
        """The next bytes; None after the last, and when the client goes, or we do."""
        loop = asyncio.get_running_loop()
        coming = loop.run_in_executor(self._thread, _following, self._streamed)
        wait_s = None if self._begun else self._wait_s
        waiting: set[asyncio.Future[Any]] = {coming, *self._leaving}
        done, _ = await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            await self._begin(send)
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if coming in done:
            chunk = coming.result()
            self._ended = chunk is None
            return chunk
        with suppress(EngineError):
            await self._stop()
            await coming
        return None

    async def _begin(self, send: Send) -> None:
        if not self._begun:
            self._begun = True
            self._service.tally.streams += 1
            head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(head)

    async def _fail(self, failed: EngineError, send: Send) -> None:
        answer = problem(failed)
        answer.headers[NAME_HEADER] = self.headers[NAME_HEADER]
        status, headers = answer.status_code, answer.raw_headers
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _listen(self, receive: Receive) -> None:
        """Takes in the body, as it is wanted; ends when the client is gone, or sends no more."""
        with suppress(TimeoutError):
            await self._take_in(receive)

    async def _take_in(self, receive: Receive) -> None:
        while True:
            async with asyncio.timeout(self._idle_s):
                message = await receive()
            if message["type"] == "http.disconnect":
                return
            if self._inlet is None:
                continue
            if part := message.get("body", b""):
                await self._inlet.put(part)
                self._service.tally.stream_bytes_in += len(part)
            if not message.get("more_body"):
                self._inlet.end()
                self._idle_s = None

    async def _stop(self) -> None:
        """Stops the execution, and only then ends its source: that would fail it otherwise."""
        with suppress(ExecutionAlreadyCompleted, ExecutionNotExists):
            ending = self._service.closing.is_set()
            cause = SERVICE_ENDS if ending else CLIENT_GONE
            await self._service.call(self._streamed.execution.stop, CLOSED, cause)
        if self._inlet is not None:
            self._inlet.fail()

    async def _leave(self) -> None:
        """Stops what still runs, and gives everything back."""
        loop = asyncio.get_running_loop()
        try:
            if not self._ended:
                with suppress(StoreUnavailable):
                    await self._stop()
            if self._inlet is not None:
                self._inlet.fail()
            # In the thread that reads: what it is at comes to its end first.
            with suppress(StoreUnavailable):
                await loop.run_in_executor(self._thread, self._streamed.close)
        finally:
            self._service.streams.free()
            self._thread.shutdown(wait=False)


def _following(streamed: StreamedExecution) -> bytes | None:
    """The next bytes, None at the end. Raises EngineError."""
    try:
        return next(streamed, None)
    except StreamError as broken:
        raise ExecutionFailed(type(broken).__name__, str(broken)) from None
