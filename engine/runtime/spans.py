"""Spans: the parts of a trace. Ids are made of names: who knows an attempt knows its span."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from engine.runtime.pointer import execution_id

Value = str | int | float | bool
Kind = Literal["execution", "step", "frame", "attempt"]

ROOT = "execution/0"
"""The key of a trace's root."""


@dataclass(frozen=True, slots=True)
class Place:
    """A span, of whatever trace: what a link leads to."""

    trace_id: int
    span_id: int


@dataclass(slots=True)
class Span:
    """A span; times are seconds since the epoch. `error`: why it failed, a name and no text."""

    name: str
    kind: Kind
    place: Place
    parent: int | None
    start_s: float
    end_s: float | None = None
    error: str | None = None
    attributes: dict[str, Value] = field(default_factory=dict)
    links: list[Place] = field(default_factory=list)
    notes: list[tuple[str, float]] = field(default_factory=list)


def trace_id_of(flow: str, execution: str, started_ms: int) -> int:
    """The id of an execution's trace; a name that is used again is another trace."""
    return _number(f"{execution_id(flow, execution)}@{started_ms}", 16)


def place_of(trace_id: int, key: str) -> Place:
    """The span of a trace that has that key: `ROOT`, or an attempt's (`attempt_key`)."""
    return Place(trace_id, _number(f"{trace_id:032x}/{key}", 8))


def attempt_key(visit: str, attempt: int) -> str:
    """The key of an attempt's span; `visit`: as of `engine.core.frame.visit_key`."""
    return f"attempt/{visit}/{attempt}"


def _number(text: str, size: int) -> int:
    # All zeros would be no id.
    return int.from_bytes(sha256(text.encode()).digest()[:size]) or 1
