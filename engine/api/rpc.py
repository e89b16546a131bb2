"""The service's own protocol: signed requests to `/`, one operation each (version 2019-03-15)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from engine.api import rpc_executions, rpc_flows, rpc_schedules
from engine.api.access import ANYBODY, Caller, KeyRing, source_of
from engine.api.depth import TOO_DEEP
from engine.api.operations import Call, Operations
from engine.api.parameters import Parameters
from engine.api.problems import BodyTooLarge
from engine.api.service import Service, Serving
from engine.api.signing import check_form, check_signature
from engine.errors import (
    ActionNotSupported,
    EngineError,
    EntityTooLarge,
    InvalidArgument,
    MissingRequiredParams,
    SignatureNonceUsed,
)
from engine.runtime.access_keys import Role

VERSION = "2019-03-15"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100
MOST_UNKNOWN_BYTES = 64 * 1024
"""The largest body of a request whose query names no key."""

MOST_ESCAPES = 2_000_000
"""In one body: to read and sign more takes longer than others may have to wait."""

OPERATIONS: Operations = {
    **rpc_flows.OPERATIONS,
    **rpc_executions.OPERATIONS,
    **rpc_schedules.OPERATIONS,
}

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "POST"])
async def operation(request: Request, service: Serving) -> Response:
    """Any operation; somebody who came here with a browser is shown the console."""
    if "text/html" in request.headers.get("accept", "") and not request.query_params:
        return RedirectResponse("/console/")
    request_id = str(uuid.uuid4()).upper()
    try:
        body = await _perform(request, service)
        status = 200
    except (EngineError, RecursionError) as caught:
        error = caught if isinstance(caught, EngineError) else EntityTooLarge(TOO_DEEP)
        body = {"Code": error.code, "Message": str(error), "HostId": request.url.hostname or ""}
        status = error.http_status
    headers = {"x-acs-request-id": request_id}
    # In ASCII: a message may quote half a surrogate pair.
    text = json.dumps({"RequestId": request_id, **body})
    return Response(text, status, headers, "application/json")


async def _perform(request: Request, service: Service) -> Mapping[str, Any]:
    most = await _most_bytes(request, service)
    body = await _body(request, most)
    # It takes long where much is written as escapes; others go on meanwhile.
    pairs = await service.call(_parameters, request, body)
    given = dict(pairs)
    if len(given) < len(pairs):
        raise InvalidArgument("a parameter is given twice")
    caller = await _caller(request, service, pairs)
    action = given.get("Action")
    if not action:
        raise MissingRequiredParams("Action is required; /openapi.json describes the REST API")
    if given.get("Version", VERSION) != VERSION:
        raise InvalidArgument(f"Version must be {VERSION}")
    if action not in OPERATIONS:
        raise ActionNotSupported(f"there is no operation {action!r} here")
    call = Call(service, caller, Parameters(given), request.is_disconnected)
    return await OPERATIONS[action].answer(call)


async def _most_bytes(request: Request, service: Service) -> int:
    """How large the body may be: small unless the query names a key that there is.

    Raises:
        InvalidAccessKeyID; ResourceThrottled.
    """
    source = source_of(request)
    key_id = request.query_params.get("AccessKeyId")
    ring: KeyRing = request.app.state.key_ring
    if await ring.is_open() or not key_id:
        service.buckets.take(source)
        return service.settings.max_body_bytes if service.open else MOST_UNKNOWN_BYTES
    await ring.find(key_id, source)
    return service.settings.max_body_bytes


async def _body(request: Request, most: int) -> bytes:
    parts = []
    size = escapes = 0
    try:
        async for part in request.stream():
            size += len(part)
            escapes += part.count(b"%")
            if size > most:
                raise BodyTooLarge(most)
            if escapes > MOST_ESCAPES:
                raise BodyTooLarge(MOST_ESCAPES, "escapes (%XX)")
            parts.append(part)
    except BodyTooLarge as error:
        raise EntityTooLarge(error.detail) from None
    return b"".join(parts)


def _parameters(request: Request, body: bytes) -> list[tuple[str, str]]:
    """All parameters of the query and the form, in any order."""
    kind = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if body and kind != FORM:
        raise InvalidArgument(f"the body must be a form ({FORM}), not {kind!r}")
    try:
        return [
            pair
            for text in (request.url.query, body.decode(errors="replace"))
            for pair in parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
        ]
    except ValueError:
        raise InvalidArgument(f"more than {MOST_FIELDS} parameters") from None


async def _caller(request: Request, service: Service, pairs: list[tuple[str, str]]) -> Caller:
    """Who has signed the request, once its signature, time and nonce were checked."""
    given, source = dict(pairs), source_of(request)
    key_id = given.get("AccessKeyId", "")
    if service.open:
        return Caller(key_id or ANYBODY, Role.ADMIN, source)
    skew_s = service.settings.clock_skew_s
    check_form(given, time.time(), skew_s)
    ring: KeyRing = request.app.state.key_ring
    key = await ring.known(key_id)
    signed = (key.secret, request.method, pairs, given["Signature"])
    await service.call(check_signature, *signed)
    # Only now: nobody without the secret can use up the nonces of others.
    nonce = given["SignatureNonce"]
    if not await service.call(service.nonces.is_new, key.id, nonce, 2 * skew_s):
        raise SignatureNonceUsed("a request with this SignatureNonce has come before")
    return Caller(key.id, key.role, source)
