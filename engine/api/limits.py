"""Limits: what a request may be like, before anybody looks at what it says."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.access import identify
from engine.api.problems import BodyTooLarge, UnsupportedRequest, problem
from engine.api.service import Service
from engine.api.settings import is_loopback
from engine.errors import EngineError, EntityTooLarge

STREAM = re.compile(r"/v1/flows/[^/]+/executions:stream")
"""The path whose bodies may be of any size: they are never held as a whole."""

FORM_PATH = "/approvals/"
MOST_FORM_BYTES = 64 * 1024
"""The largest body of who has no key."""

LASTING = (":stream", "/events", "/live")
"""How the paths end whose answers come bit by bit."""

BODY_S = 60.0
"""How long the next bytes of a body may be in coming."""

KEYED_PATHS = ("/v1/", "/console/data/")
"""How the paths begin that need a key: it is looked at before the body is taken in."""

MOST_CONTAINERS = 500_000
"""Objects and lists in one body: to read more takes longer than others may have to wait."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

ANSWER_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Limits:
    """Middleware: refuses what is too large, has no key, or comes from a foreign page; counts."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        # A proxy may have asked for another host than the browser has.
        self._public_host = _host_of(service.settings.public_url) or None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sender = _Counted(send, self._service)
        try:
            body = self._checked(scope, receive)
            if scope["path"].startswith(KEYED_PATHS):
                await identify(Request(scope), self._service)
        except EngineError as error:
            await problem(error)(scope, receive, sender)
            return
        await self._app(scope, body, sender)

    def _checked(self, scope: Scope, receive: Receive) -> Receive:
        settings = self._service.settings
        headers = Headers(scope=scope)
        size = len(scope["raw_path"] or b"") + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > settings.max_header_bytes:
            told = f"line and headers have {size} bytes; the limit is {settings.max_header_bytes}"
            raise UnsupportedRequest(431, "HeadersTooLarge", told)
        self._check_origin(scope, headers)
        if scope["http_version"] == "1.0" and scope["path"].endswith(LASTING):
            raise UnsupportedRequest(426, "UpgradeRequired", "this answer needs HTTP/1.1")
        if scope["method"] == "POST" and STREAM.fullmatch(scope["path"]):
            return receive
        form = scope["path"].startswith(FORM_PATH)
        most = MOST_FORM_BYTES if form else settings.max_body_bytes
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > most:
            raise EntityTooLarge(BodyTooLarge(most).detail)
        return bounded(receive, most)

    def _check_origin(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Browsers send what they are told by any page, with the password that they know."""
        host = headers.get("host", "")
        if self._service.open and not self._is_ours(host):
            told = f"this API is open to this machine only, and not known as {host!r}"
            raise UnsupportedRequest(403, "ForeignOrigin", told)
        # The operations at `/` may change something by a GET, too.
        if scope["method"] in SAFE_METHODS and (scope["path"] != "/" or not scope["query_string"]):
            return
        origin = headers.get("origin", headers.get("referer"))
        if origin is not None and _host_of(origin) not in (host, self._public_host):
            raise UnsupportedRequest(403, "ForeignOrigin", f"{origin!r} is another site")
        if origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise UnsupportedRequest(403, "ForeignOrigin", "a page of another site asks for this")

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return is_loopback(name) or name.lower() in self._service.settings.allow_hosts


def _host_of(url: str) -> str:
    """The host and port of an address or an origin; "" if it has none."""
    return url.partition("://")[2].partition("/")[0]


def bounded(receive: Receive, most: int) -> Receive:
    """What is received, up to so many bytes.

    Raises:
        BodyTooLarge: at the first too many. HTTPException: 408, no more of them come.
    """
    taken = containers = 0
    whole = False

    async def received() -> Message:
        nonlocal taken, containers, whole
        try:
            async with asyncio.timeout(None if whole else BODY_S):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"nothing has come for {BODY_S:.0f} s") from None
        body = message.get("body", b"")
        whole = not message.get("more_body")
        taken += len(body)
        containers += body.count(b"[") + body.count(b"{")
        if taken > most:
            raise BodyTooLarge(most)
        if containers > MOST_CONTAINERS:
            raise BodyTooLarge(MOST_CONTAINERS, "objects and lists")
        return message

    return received


class _Counted:
    """Sends; its head is counted, and gets the headers that all answers have."""

    def __init__(self, send: Send, service: Service) -> None:
        self._send = send
        self._service = service
        self._since = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *ANSWER_HEADERS]}
            took_s = time.perf_counter() - self._since
            self._service.tally.answered(message["status"], took_s)
        await self._send(message)
