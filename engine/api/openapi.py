"""The API's own description: OpenAPI 3.1, with the answers and the keys that all routes share."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from engine.api.problems import MEDIA_TYPE, Problem

OPEN_PATHS = ("/healthz", "/readyz", "/problems/")
TITLE = "Penstock"

_ABOUT = """Flows, executions, their histories and what people decide about them.

An access key goes into HTTP Basic (id and secret) or `Authorization: Bearer ID:SECRET`. Errors are
problems (RFC 9457) whose `type` names their code. The same service speaks its own protocol, signed
requests of version 2019-03-15, at `/`.
"""

_COMMON = {
    "400": "The request cannot be used; the detail says why.",
    "401": "No access key is named.",
    "403": "The key is not known, or its role is too low.",
    "404": "What the path names does not exist.",
    "409": "Something of that name exists, or somebody else was quicker.",
    "429": "Too many requests; see Retry-After.",
    "431": "The request's line and headers are too large.",
    "503": "Redis does not answer.",
}
_SCHEMES = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "ID:SECRET"},
}


def describe(app: FastAPI, version: str) -> None:
    """Has the app describe itself so, at /openapi.json."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, version)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to do it


def _document(app: FastAPI, version: str) -> dict[str, Any]:
    found = get_openapi(title=TITLE, version=version, description=_ABOUT, routes=app.routes)
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs")
    schemas["Problem"] = problem
    found["components"]["securitySchemes"] = _SCHEMES
    for path, operations in found["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return found


def _complete(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    body = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in _COMMON.items():
        answers.setdefault(status, {"description": description, "content": body})
    for status in answers:
        if status >= "400":
            answers[status]["content"] = body
    if not path.startswith(OPEN_PATHS):
        operation["security"] = [{"basic": []}, {"bearer": []}]
