"""Keys: 32 bytes in the environment of the worker, never in a flow."""

from __future__ import annotations

import base64
import binascii
import os
import re

from tasks.errors import INVALID_ARGUMENT, TaskError

PREFIX = "PENSTOCK_STREAM_KEY_"
"""Flows may name the variables that begin so, and no others."""

KEY_BYTES = 32
INVALID_KEY = "InvalidKey"
MISSING_KEY = "MissingKey"

_VARIABLE = re.compile(rf"{PREFIX}[A-Z0-9_]{{1,64}}")
_HOW = "32 random bytes as base64 (openssl rand -base64 32) or in hexadecimal"


def key_of(variable: str) -> bytes:
    """The key in an environment variable.

    Raises:
        TaskError: `FC.InvalidArgument`, flows may not name that variable; `MissingKey`, it is
            not set; `InvalidKey`, it holds no key. The cause never has what it holds.
    """
    if not _VARIABLE.fullmatch(variable):
        raise TaskError(
            INVALID_ARGUMENT, f"keyVariable must be {PREFIX} and capital letters, digits or _"
        )
    text = os.environ.get(variable, "").strip()
    if not text:
        raise TaskError(
            MISSING_KEY, f"the worker's environment has no {variable}: set it to {_HOW}"
        )
    key = _decoded(text)
    if len(key) != KEY_BYTES:
        raise TaskError(INVALID_KEY, f"{variable} holds no key: it must be {_HOW}")
    return key


def _decoded(text: str) -> bytes:
    """The bytes, b"" for what is neither form."""
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
