"""Pages: the console's one page and its assets. They hold no data, and anybody may have them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from engine.api.problems import UnsupportedRequest

router = APIRouter(prefix="/console", include_in_schema=False)

FOLDER = Path(__file__).with_name("static")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str
    tag: str


def read_assets(folder: Path) -> dict[str, Asset]:
    """The files of a folder by name; nothing else is ever looked for on the disk."""
    return {path.name: _asset(path) for path in folder.iterdir() if path.suffix in TYPES}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    tag = hashlib.sha256(content).hexdigest()[:16]
    return Asset(content, TYPES[path.suffix], f'"{tag}"')


ASSETS = read_assets(FOLDER)


@router.get("")
def front() -> Response:
    """The address without its last stroke."""
    return RedirectResponse("/console/")


@router.get("/static/{name}")
def asset(name: str, request: Request) -> Response:
    """An asset. Raises UnsupportedRequest: there is none of that name."""
    found = ASSETS.get(name)
    if found is None:
        raise UnsupportedRequest(404, "NotFound", "the console has no such file")
    return _sent(found, request)


@router.get("/{path:path}")
def page(path: str, request: Request) -> Response:
    """The page; which of its views is shown, its own script reads from the address.

    Raises UnsupportedRequest: the address is one of data, and there is none.
    """
    if path.startswith("data/"):
        raise UnsupportedRequest(404, "NotFound", "the console has no such data")
    return _sent(ASSETS["index.html"], request)


def _sent(found: Asset, request: Request) -> Response:
    headers = HEADERS | {"ETag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
