"""An HTTP client that costs next to nothing: what is measured is the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

LONG_S = 30.0


class Connection:
    """A connection that stays open, with one request at a time."""

    def __init__(self, address: str, key: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._head = f" HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n"
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Connection:
        opening = asyncio.open_connection(self._host, self._port)
        self._reader, self._writer = await asyncio.wait_for(opening, LONG_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: Any = None, more: str = "") -> Any:
        """The JSON that a request is answered with. AssertionError if that is no 2xx."""
        await self._send(method, path, body, more)
        status, length = await asyncio.wait_for(self._answer(), LONG_S)
        content = await asyncio.wait_for(self._reader.readexactly(length or 0), LONG_S)
        assert 200 <= status < 300, f"{method} {path}: {status} {content!r}"
        return json.loads(content) if content else None

    async def lines(self, path: str) -> AsyncIterator[str]:
        """The lines of an answer that comes bit by bit, to its end."""
        await self._send("GET", path, None, "")
        status, length = await asyncio.wait_for(self._answer(), LONG_S)
        assert status == 200 and length is None, f"{path}: {status}"
        rest = b""
        while size := int(await asyncio.wait_for(self._reader.readline(), LONG_S), 16):
            rest += (await self._reader.readexactly(size + 2))[:-2]
            *whole, rest = rest.split(b"\n")
            for line in whole:
                yield line.decode()
        await self._reader.readline()

    async def _send(self, method: str, path: str, body: Any, more: str) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        kind = "Content-Type: application/json\r\n" if content else ""
        length = f"Content-Length: {len(content)}\r\n" if content else ""
        self._writer.write(
            f"{method} {path}{self._head}{kind}{length}{more}\r\n".encode() + content
        )
        await self._writer.drain()

    async def _answer(self) -> tuple[int, int | None]:
        """The status, and how long the body is; None: it comes in chunks."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        if "transfer-encoding: chunked" in head:
            return status, None
        _, found, length = head.partition("content-length: ")
        return status, int(length.partition("\r")[0]) if found else 0
