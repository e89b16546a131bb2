"""Token files: how a scripted task in a worker hands its callback token to the test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

TOKEN_FOLDER = "PENSTOCK_TEST_TOKENS"
"""The environment variable that names the folder; without it no token is written."""

TOKEN_KEYS = ("token", "Token")


def token_file(folder: Path, execution: str, step: str, attempt: int) -> Path:
    """Where the token of an attempt of a step is, as soon as its function has been called."""
    return folder / f"{execution}.{step}.{attempt}"


def keep_token(input: dict[str, Any], execution: str, step: str, attempt: int) -> None:
    """Writes the token that an input holds under one of `TOKEN_KEYS`, if it does."""
    folder = os.environ.get(TOKEN_FOLDER)
    token = next((input[key] for key in TOKEN_KEYS if input.get(key)), None)
    if folder and token:
        file = token_file(Path(folder), execution, step, attempt)
        part = file.with_name(f".{file.name}")
        part.write_text(token)
        part.replace(file)
