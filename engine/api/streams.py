"""Streamed executions: the request's body goes in, the answer's body is what comes out."""

from __future__ import annotations

import json
import re
import uuid
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from engine.api.access import Operator
from engine.api.depth import check_depth
from engine.api.inlet import Inlet
from engine.api.preferences import wait_of
from engine.api.problems import Problem
from engine.api.service import Serving
from engine.api.streamed_answer import NAME_HEADER, StreamedAnswer
from engine.errors import InvalidArgument

router = APIRouter(prefix="/v1", tags=["streams"])

PLAIN = "application/octet-stream"

# What a browser would run is not among them.
_TYPES = re.compile(
    r"image/(jpeg|png|webp|tiff|bmp|gif)|(audio|video)/[a-z0-9.+-]{1,40}"
    r"|application/(octet-stream|gzip|zstd|json)|text/plain"
)

_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/flows/{flow}/executions:stream",
    response_class=Response,
    responses={
        200: {
            "description": "What the flow writes, as it comes. A body that is cut off: it failed.",
            "content": {PLAIN: _BYTES},
            "headers": {NAME_HEADER: {"schema": {"type": "string"}}},
        },
        422: {"model": Problem, "description": "It failed before it had written anything."},
    },
    openapi_extra={"requestBody": {"content": {PLAIN: _BYTES}, "required": False}},
)
async def stream(
    request: Request,
    flow: str,
    service: Serving,
    caller: Operator,
    input: Annotated[str, Query(description="A JSON object.")] = "{}",
    name: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    qualifier: str | None = None,
    accept: Annotated[str | None, Header(description="The type the answer is to have.")] = None,
    prefer: Annotated[
        str | None, Header(description="`wait=N`: the head of the answer after N s at the latest.")
    ] = None,
) -> Response:
    """Starts an execution, sends the body into it, and answers with the bytes it writes.

    The status comes with the first byte or the failure, unless `Prefer: wait=N` asks for it
    earlier; its header names the execution. A client that goes away stops the execution.
    """
    given = _object(input)
    name = name or str(uuid.uuid4())
    inlet = Inlet() if _has_body(request) else None
    with ExitStack() as held:
        service.streams.take()
        held.callback(service.streams.free)
        with caller.acting():
            streamed = await service.call(
                service.engine.stream, flow, given, inlet, name, qualifier=qualifier
            )
        held.pop_all()  # the answer frees it
    return StreamedAnswer(service, streamed, inlet, _type(accept), wait_of(prefer))


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length")
    return "transfer-encoding" in request.headers or length not in (None, "0")


def _object(text: str) -> dict[str, Any]:
    try:
        value = check_depth(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"input is no JSON to be used: {error}") from None
    if not isinstance(value, dict):
        raise InvalidArgument("input must be a JSON object")
    return value


def _type(accept: str | None) -> str:
    """The first type that the client wants and may have."""
    wanted = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    return next((each for each in wanted if _TYPES.fullmatch(each)), PLAIN)
