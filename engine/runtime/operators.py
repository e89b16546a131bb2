"""Operators: who stopped, paused, redrove or changed something, and from where."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from engine.config import Settings


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and from which address; "" for this process itself."""

    by: str
    source: str = ""


_acting: ContextVar[Operator | None] = ContextVar("acting", default=None)


@contextmanager
def acting(by: str, source: str = "") -> Iterator[None]:
    """What is done within is done by `by`, from `source`; also in threads that get the context."""
    mark = _acting.set(Operator(by, source))
    try:
        yield
    finally:
        _acting.reset(mark)


def operator(settings: Settings, by: str | None = None) -> Operator:
    """Who acts now: `by`, else whom `acting` names, else the configured one, or this user."""
    now = _acting.get()
    source = now.source if now else ""
    if by:
        return Operator(by, source)
    if now:
        return now
    return Operator(settings.operator or f"{_user()}@{socket.gethostname()}")


def note(settings: Settings, by: str | None, reason: str | None) -> dict[str, str]:
    """Who and why, as an event's detail has it: {"by"} and, where one was given, {"reason"}.

    `by` None: as `operator` says.
    """
    who = operator(settings, by).by
    return {"by": who, "reason": reason} if reason else {"by": who}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
