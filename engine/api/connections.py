"""Connections: HTTP/1.1 as Uvicorn speaks it, with a bound on what precedes a request's body."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
"""What may come that is neither whole headers nor a body; who sends more is cut off."""

HEAD_S = 30.0
"""How long it may take until they are."""

IDLE_S = 300.0
"""How long a client may take nothing of an answer, or send nothing of a stream."""

_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """One connection. What is held of it before anybody has looked at a request is bounded."""

    _head_bytes = 0
    _in_body = False
    _moved = False

    _head_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected, and may take so long to say what he wants."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_waiting()
        self._heed()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes less than we have for it."""
        super().pause_writing()
        self._heed()
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(IDLE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken something."""
        self._heed()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        self._moved = False
        super().data_received(data)
        if self._moved:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if not self._in_body:
            self._await_head()
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind a body is not kept."""
        if not self._in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self._moved = True
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """A request's line and headers are there."""
        self._stop_waiting()
        self._moved = self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is there as a whole."""
        self._moved, self._in_body = True, False
        super().on_message_complete()

    def _heed(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _await_head(self) -> None:
        if self._head_timer is None:
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
