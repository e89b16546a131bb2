"""Mappings at work: from mapping items and references to the JSON objects that steps see."""

from __future__ import annotations

import re
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from engine.errors import EngineError
from engine.fdl.model import JsonObject, Mappings
from engine.fdl.paths import (
    CACHED_PATHS,
    MISSING,
    DataTooDeep,
    Path,
    PathInvalid,
    compile_path,
)

RootName = Literal["input", "local", "context"]

_ROOT = re.compile(r"\$(?P<root>input|local|context)(?![\w\-\u0080-\U0010FFFF])")
_REFERENCE = re.compile(r"\$(?:input(?![\w\-\u0080-\U0010FFFF])|(?=[.\[])|$)")
_CONTEXT = re.compile(r"\$context(?![\w\-\u0080-\U0010FFFF])")


class InvalidPath(EngineError):
    """A path is not there and the flow is strict; `path` is its text."""

    http_status = 400

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"there is nothing at {path}")

    @property
    def code(self) -> str:
        """The name of the error that the step fails with."""
        return "FnF.InvalidPath"


@dataclass(frozen=True, slots=True)
class Roots:
    """What `$input`, `$local` and `$context` stand for. `local` is a list after a fork."""

    input: JsonObject
    local: Any = field(default_factory=dict)
    context: JsonObject = field(default_factory=dict)

    def of(self, name: RootName) -> Any:
        """The value of one root."""
        if name == "input":
            return self.input
        return self.local if name == "local" else self.context


@lru_cache(maxsize=CACHED_PATHS)
def source_path(text: str) -> tuple[RootName, Path] | None:
    """The root and path of a mapping's source; None when the text is a constant.

    Raises:
        PathInvalid: it begins like a path and is none; the offset is in `text`.
    """
    match = _ROOT.match(text)
    if match is None:
        return None
    root: Any = match["root"]
    return root, _compile_after(text, match.end())


@lru_cache(maxsize=CACHED_PATHS)
def reference_path(text: str) -> Path | None:
    """The path of a `$`, `$.key` or `$input.key` reference; None when the text is a constant.

    Raises:
        PathInvalid: it begins like a reference and is none; the offset is in `text`.
    """
    match = _REFERENCE.match(text)
    return _compile_after(text, match.end()) if match else None


def uses_context(text: Any) -> bool:
    """True for a `$context…` source."""
    return isinstance(text, str) and _CONTEXT.match(text) is not None


def apply_mappings(mappings: Mappings, roots: Roots, strict: bool = False) -> JsonObject:
    """The object that mapping items make, in their order (a later target wins).

    A single path that is not there leaves its target out. Values are shared with the roots.

    Raises:
        InvalidPath: a path is not there and `strict` is set.
    """
    mapped: JsonObject = {}
    for item in mappings:
        value = resolve_source(item.source, roots, strict)
        if value is not MISSING:
            mapped[item.target] = value
    return mapped


def resolve_source(source: Any, roots: Roots, strict: bool = False) -> Any:
    """One source's value: a constant as it is, or what its path finds, or `MISSING`.

    Raises:
        InvalidPath: the path is not there and `strict` is set.
    """
    if not isinstance(source, str) or not source.startswith("$"):
        return source
    found = source_path(source)
    if found is None:
        return source
    root, path = found
    return _find(path, roots.of(root), source, strict)


def resolve_reference(text: Any, input: JsonObject, strict: bool = False) -> Any:
    """The value of a `$`, `$.key` or `$input.key` reference into a step's input.

    Anything else is a constant and comes back as it is. None when there is nothing.

    Raises:
        InvalidPath: there is nothing and `strict` is set.
    """
    value = _referred(text, input, strict)
    return None if value is MISSING else value


def service_params(
    params: ReadOnly[str, Any],
    mapped_input: JsonObject,
    context: JsonObject | None = None,
    strict: bool = False,
) -> JsonObject:
    """The parameters of a call: constants, `$` (all of the mapped input), `$.a.b`, `$context.…`.

    A reference that is not there leaves its parameter out.

    Raises:
        InvalidPath: a reference is not there and `strict` is set.
    """
    roots = Roots(mapped_input, {}, context or {})
    filled: JsonObject = {}
    for name, text in params.items():
        in_context = uses_context(text)
        value = resolve_source(text, roots, strict) if in_context else None
        value = value if in_context else _referred(text, mapped_input, strict)
        if value is not MISSING:
            filled[name] = value
    return filled


def _referred(text: Any, input: JsonObject, strict: bool) -> Any:
    path = reference_path(text) if isinstance(text, str) else None
    return text if path is None else _find(path, input, text, strict)


def _find(path: Path, root: Any, text: str, strict: bool) -> Any:
    try:
        value = path.find(root)
    except DataTooDeep as error:
        raise InvalidPath(text) from error
    if value is MISSING and strict:
        raise InvalidPath(text)
    return value


def _compile_after(text: str, at: int) -> Path:
    try:
        return compile_path("$" + text[at:])
    except PathInvalid as error:
        raise PathInvalid(str(error), error.offset + at - 1) from error
