"""Preferences: headers by which a client says how it wants to be answered."""

from __future__ import annotations

import re
from hashlib import sha256

from engine.errors import InvalidArgument

LONGEST_WAIT_S = 60
_WAIT = re.compile(r"^\s*wait\s*=\s*\"?(\d{1,9})\"?\s*$", re.IGNORECASE)
MOST_KEY_CHARACTERS = 255


def wait_of(prefer: str | None) -> int | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most LONGEST_WAIT_S; None: not said.

    What else is preferred is not known here, and so not heeded.
    """
    for part in re.split(r"[,;]", prefer or ""):
        if found := _WAIT.match(part):
            return min(int(found[1]), LONGEST_WAIT_S)
    return None


def name_of_key(caller: str, key: str) -> str:
    """The name of the execution that an `Idempotency-Key` of a caller stands for.

    Raises:
        InvalidArgument: the key is empty or too long.
    """
    if not 0 < len(key) <= MOST_KEY_CHARACTERS:
        raise InvalidArgument(f"Idempotency-Key: use 1 to {MOST_KEY_CHARACTERS} characters")
    return "key-" + sha256(f"{caller}\0{key}".encode(errors="replace")).hexdigest()[:40]


def matches(header: str, tag: str) -> bool:
    """True if an If-Match or If-None-Match header names the tag, or anything at all (`*`)."""
    named = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in named or tag in named
