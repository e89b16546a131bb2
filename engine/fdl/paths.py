"""A path: JSONPath (RFC 9535) into one JSON value, compiled once.

Plain chains of `.key`, `['key']` and `[n]`, which is nearly all of them, are walked here;
anything else goes to the JSONPath library. Hyphens are allowed in `.key`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from jsonpath_rfc9535 import (
    JSONPathEnvironment,
    JSONPathError,
    JSONPathQuery,
    JSONPathRecursionError,
)

CACHED_PATHS = 4096
MAX_DATA_DEPTH = 200

_NAME = r"[A-Za-z_\u0080-\U0010FFFF][\w\-\u0080-\U0010FFFF]*"
_SEGMENT = re.compile(
    rf"""\.(?P<name>{_NAME})
    | \[\s*(?P<index>-?[1-9][0-9]{{0,14}}|0)\s*\]
    | \[\s*(?P<quoted>'[^'\\\x00-\x1f]*'|"[^"\\\x00-\x1f]*")\s*\]""",
    re.VERBOSE,
)
_HYPHENED = re.compile(
    rf"""'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*"
    | (?P<dots>\.\.?)(?P<name>{_NAME})""",
    re.VERBOSE,
)


class Missing(Enum):
    """The type of `MISSING`: what a single path gives when there is nothing at its place."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class PathInvalid(ValueError):
    """A path text is no JSONPath; `offset` is where in the text, from 0."""

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


class DataTooDeep(ValueError):
    """A `..` path met a value that is nested deeper than `MAX_DATA_DEPTH`."""


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path. `chain` is set for a plain one, `query` for any other."""

    text: str
    chain: tuple[str | int, ...] | None = None
    query: JSONPathQuery | None = None
    many: bool = False

    def find(self, root: Any) -> Any:
        """What is at this path: one value or `MISSING`; for a path to many: a list.

        Values are shared with `root`.

        Raises:
            DataTooDeep: `..` over a value that is nested too deeply.
        """
        if self.query is None:
            return walk(root, self.chain or ())
        try:
            found = [node.value for node in self.query.finditer(root)]
        except JSONPathRecursionError as error:
            raise DataTooDeep(f"{self.text}: the value is nested too deeply") from error
        if self.many:
            return found
        return found[0] if found else MISSING


@lru_cache(maxsize=CACHED_PATHS)
def compile_path(text: str) -> Path:
    """Compiles a path that begins with `$`.

    Raises:
        PathInvalid: it is no JSONPath.
    """
    if not text.startswith("$"):
        raise PathInvalid("a path begins with '$'", 0)
    chain = _chain_of(text)
    if chain is not None:
        return Path(text, chain=chain)
    query = _query_of(text)
    return Path(text, query=query, many=not query.singular_query())


def walk(value: Any, chain: tuple[str | int, ...]) -> Any:
    """What a chain of object keys and list indexes leads to, or `MISSING`."""
    for key in chain:
        if isinstance(value, dict) and isinstance(key, str) and key in value:
            value = value[key]
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return MISSING
    return value


class _Environment(JSONPathEnvironment):
    max_recursion_depth = MAX_DATA_DEPTH


_ENVIRONMENT = _Environment()


def _chain_of(text: str) -> tuple[str | int, ...] | None:
    chain: list[str | int] = []
    at = 1
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None:
            return None
        chain.append(_segment_key(match))
        at = match.end()
    return tuple(chain)


def _segment_key(match: re.Match[str]) -> str | int:
    if match["name"]:
        return match["name"]
    if match["index"]:
        return int(match["index"])
    return match["quoted"][1:-1]


def _query_of(text: str) -> JSONPathQuery:
    standard = _HYPHENED.sub(_bracketed, text)
    try:
        return _ENVIRONMENT.compile(standard)
    except JSONPathError as error:
        at = error.token.index if error.token and standard == text else 1
        message = str(error.args[0]) if error.args else "malformed path"
        raise PathInvalid(message, min(max(at, 0), len(text))) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise PathInvalid("malformed path", 1) from error


def _bracketed(match: re.Match[str]) -> str:
    if not match["name"] or "-" not in match["name"]:
        return match[0]
    dots = ".." if match["dots"] == ".." else ""
    return f"{dots}['{match['name']}']"
