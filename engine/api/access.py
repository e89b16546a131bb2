"""Access: who calls, and what they may do."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param

from engine.api.problems import UnsupportedRequest
from engine.api.service import Service
from engine.errors import AccessDenied, InvalidAccessKeyID, SignatureNotMatch
from engine.runtime.access_keys import AccessKey, Role
from engine.runtime.operators import acting

KEPT_S = 2.0
"""How long a key is known after it was read: a deleted one is refused so much later."""

MOST_KEPT = 1000
CALLER = "penstock.caller"
"""Where a request's scope says who sent it."""

ANYBODY = "anybody"
"""Who calls an open API, as the history says it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `id`: of the access key; `source`: the address it came from."""

    id: str
    role: Role
    source: str

    def acting(self) -> AbstractContextManager[None]:
        """What is done within the block is done by this caller, as history and audit say."""
        return acting(self.id, self.source)

    def needs(self, role: Role) -> None:
        """Raises AccessDenied: the caller's role is less than that."""
        if not self.role.covers(role):
            raise AccessDenied(
                f"access key {self.id!r} has the role {self.role}; this needs {role}"
            )


class KeyRing:
    """The access keys, each read anew after a while. For one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: dict[str, tuple[float, AccessKey | None]] = {}
        self._open_until = 0.0

    async def is_open(self) -> bool:
        """True while there is no key at all: the first one closes the API."""
        if self._service.open and self._open_until < time.monotonic():
            self._service.open = not await self._service.call(self._service.engine.keys.any)
            self._open_until = time.monotonic() + KEPT_S
        return self._service.open

    async def find(self, key_id: str, source: str) -> AccessKey:
        """The key that somebody at `source` names; it counts as a request of its caller.

        Raises:
            InvalidAccessKeyID. ResourceThrottled: its caller, or that source, comes too often.
        """
        if not self._is_fresh(key_id):
            self._service.buckets.take(source)  # whatever names it makes up
        key = await self.known(key_id)
        self._service.buckets.take(f"{source} {key_id}")
        return key

    async def known(self, key_id: str) -> AccessKey:
        """A key. Raises InvalidAccessKeyID."""
        _, key = self._known.get(key_id, (0.0, None))
        if not self._is_fresh(key_id):
            key = await self._service.call(self._service.engine.keys.find, key_id)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key_id] = (time.monotonic() + KEPT_S, key)
        if key is None:
            raise InvalidAccessKeyID(f"there is no access key {key_id!r}")
        return key

    def _is_fresh(self, key_id: str) -> bool:
        return self._known.get(key_id, (0.0, None))[0] > time.monotonic()


async def identify(request: Request, service: Service) -> Caller:
    """Who sends a request, found once: before its body is taken in. Raises as `caller_of`."""
    caller: Caller | None = request.scope.get(CALLER)
    if caller is None:
        caller = request.scope[CALLER] = await caller_of(request, service)
    return caller


async def may_still(request: Request) -> bool:
    """False once the key of a request that goes on has been deleted, or has another role."""
    service: Service = request.app.state.service
    caller = await identify(request, service)
    if await request.app.state.key_ring.is_open():
        return True
    try:
        return (await request.app.state.key_ring.known(caller.id)).role is caller.role
    except InvalidAccessKeyID:
        return False


async def caller_of(request: Request, service: Service) -> Caller:
    """Who sends a REST request, by HTTP Basic (id and secret) or `Bearer ID:SECRET`.

    Raises:
        UnsupportedRequest: 401, no key is named. InvalidAccessKeyID; SignatureNotMatch: the secret
        is another. ResourceThrottled.
    """
    source = source_of(request)
    if await request.app.state.key_ring.is_open():
        service.buckets.take(source)
        return Caller(ANYBODY, Role.ADMIN, source)
    given = credentials_of(request.headers.get("authorization", ""))
    if given is None:
        service.buckets.take(source)
        raise UnsupportedRequest(401, "Unauthorized", "name an access key: id and secret")
    key_id, secret = given
    key = await request.app.state.key_ring.find(key_id, source)
    if not hmac.compare_digest(secret.encode(), key.secret.encode()):
        raise SignatureNotMatch(f"the secret of access key {key_id!r} is another")
    return Caller(key.id, key.role, source)


def credentials_of(header: str) -> tuple[str, str] | None:
    """The id and secret of an Authorization header; None if it holds none."""
    scheme, text = get_authorization_scheme_param(header)
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    elif scheme.lower() != "bearer":
        return None
    key_id, colon, secret = text.partition(":")
    return (key_id, secret) if colon and key_id else None


def source_of(request: Request) -> str:
    """The address that a request came from."""
    return request.client.host if request.client else "?"


def at_least(role: Role) -> Callable[[Request], Awaitable[Caller]]:
    """The caller of a route that needs a role."""

    async def checked(request: Request) -> Caller:
        caller = await identify(request, request.app.state.service)
        caller.needs(role)
        return caller

    return checked


Viewer = Annotated[Caller, Depends(at_least(Role.VIEWER))]
Operator = Annotated[Caller, Depends(at_least(Role.OPERATOR))]
Approver = Annotated[Caller, Depends(at_least(Role.APPROVER))]
Admin = Annotated[Caller, Depends(at_least(Role.ADMIN))]
