"""Operators: who stopped, paused, redrove or skipped something, as the history says it."""

from __future__ import annotations

import getpass
import socket

from engine.config import Settings


def note(settings: Settings, by: str | None, reason: str | None) -> dict[str, str]:
    """Who and why, as an event's detail has it: {"by"} and, where one was given, {"reason"}.

    `by` None: the configured operator, else the user and the host of this process.
    """
    who = by or settings.operator or f"{_user()}@{socket.gethostname()}"
    return {"by": who, "reason": reason} if reason else {"by": who}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
