"""Problems: errors as RFC 9457 tells them, with a type for each code."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import PydanticSerializationError
from starlette.exceptions import HTTPException

from engine import errors
from engine.api.depth import TOO_DEEP
from engine.errors import (
    EngineError,
    ExecutionFailed,
    FlowInvalid,
    ResourceThrottled,
    StoreUnavailable,
)

TYPE_PREFIX = "/problems/"
MEDIA_TYPE = "application/problem+json"
FAILED_STATUS = 422
"""Status of an answer to a call that waited for an execution's bytes, when there are none."""

_OF_STATUS = {
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
}


class UnsupportedRequest(EngineError):
    """A request that HTTP allows and this API does not; `http_status` says why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.http_status = status
        self._code = code
        super().__init__(message)

    @property
    def code(self) -> str:
        """The code it was made with."""
        return self._code


class BodyTooLarge(HTTPException):
    """A body over the limit. No EngineError: what parses bodies would take it for a mistake."""

    def __init__(self, most: int, what: str = "bytes") -> None:
        super().__init__(400, f"the body is too large; the limit is {most} {what}")


class FlowProblem(BaseModel):
    """One mistake of a definition."""

    line: int
    column: int
    severity: str
    code: str
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Names the code; a GET of it explains it.")
    title: str
    status: int
    detail: str
    code: str
    problems: list[FlowProblem] | None = Field(None, description="Of a definition: all mistakes.")
    error: str | None = Field(None, description="Of an execution that failed.")
    cause: str | None = None


def problem(error: EngineError) -> Response:
    """The answer to a request that an error has ended."""
    status = FAILED_STATUS if isinstance(error, ExecutionFailed) else error.http_status
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": title_of(error.code),
        "status": status,
        "detail": str(error),
        "code": error.code,
    }
    if isinstance(error, FlowInvalid):
        body["problems"] = list(flow_problems(error))
    if isinstance(error, ExecutionFailed):
        body |= {"error": error.error, "cause": error.cause}
    # In ASCII: a detail may quote half a surrogate pair.
    return Response(json.dumps(body), status, headers_of(error), MEDIA_TYPE)


def headers_of(error: EngineError) -> dict[str, str]:
    """The headers that go with an error."""
    if isinstance(error, ResourceThrottled):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, StoreUnavailable):
        return {"Retry-After": "1"}
    if error.http_status == 401:
        return {"WWW-Authenticate": 'Basic realm="penstock", charset="UTF-8"'}
    return {}


def flow_problems(error: FlowInvalid) -> Iterator[dict[str, Any]]:
    """The mistakes of a definition."""
    for each in error.problems:
        yield {
            "line": each.line,
            "column": each.column,
            "severity": each.severity,
            "code": each.code,
            "message": each.text,
        }


def title_of(code: str) -> str:
    """What a code means, in a sentence."""
    kind = getattr(errors, code, None)
    if inspect.isclass(kind) and issubclass(kind, EngineError):
        return (inspect.getdoc(kind) or code).split("\n")[0]
    return _TITLES.get(code, "The request cannot be answered.")


_TITLES = {
    "InternalError": "The service has a defect.",
    "NotFound": "There is nothing at this path.",
    "MethodNotAllowed": "The path does not take this method.",
    "PreconditionFailed": "It is not as If-Match says any more; read it again.",
    "IdempotencyKeyReused": "The Idempotency-Key belongs to a start with another input.",
    "Unauthorized": "The request names no access key.",
    "HeadersTooLarge": "The request's line and headers are too large.",
    "RequestTimeout": "The request was not sent to its end.",
    "UpgradeRequired": "The answer needs HTTP/1.1.",
    "ForeignOrigin": "A page of another site may not call this API.",
}


def known(code: str) -> bool:
    """True for a code that an answer may have."""
    return code in _TITLES or inspect.isclass(getattr(errors, code, None))


def invalid(details: Sequence[Mapping[str, Any]]) -> EngineError:
    """The error for what does not fit the API's schema: a required thing is missing, or wrong."""
    told = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in details)
    missing = details and all(each["type"] == "missing" for each in details)
    return errors.MissingRequiredParams(told) if missing else errors.InvalidArgument(told)


def handle_problems(app: FastAPI) -> None:
    """Has every error of the app answered as a problem."""

    @app.exception_handler(EngineError)
    async def of_engine(request: Request, error: EngineError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def of_schema(request: Request, error: RequestValidationError) -> Response:
        return problem(invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        if isinstance(error, BodyTooLarge):
            return problem(errors.EntityTooLarge(error.detail))
        code = _OF_STATUS.get(error.status_code, "InvalidArgument")
        answer = problem(UnsupportedRequest(error.status_code, code, str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RecursionError)
    @app.exception_handler(PydanticSerializationError)
    async def of_depth(request: Request, error: Exception) -> Response:
        return problem(errors.EntityTooLarge(f"what is stored cannot be answered: {TOO_DEEP}"))

    @app.exception_handler(Exception)
    async def of_defect(request: Request, error: Exception) -> Response:
        told = "a defect of this service; its log tells more"
        return problem(UnsupportedRequest(500, "InternalError", told))


def _place(location: Sequence[Any]) -> str:
    """`body.input` of ("body", "input"); half surrogate pairs are written as escapes."""
    text = ".".join(str(part) for part in location)
    return text.encode(errors="backslashreplace").decode()
