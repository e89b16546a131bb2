"""Crashing: named points between two effects, at which a test lets a process die."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

FILE_VARIABLE = "PENSTOCK_CRASH_FILE"
"""Names a file with the name of a point; the first process that comes there takes the file along.
Without the variable, as everywhere but in tests, a point does nothing."""

EXIT_CODE = 137

Point = Literal[
    "before a task", "after a task", "before a publish", "after a publish", "before an ack"
]
"""The points beside those before and after each verb of the store, `before settle` and so on."""

_FILE = os.environ.get(FILE_VARIABLE)


def crash_point(name: Point) -> None:
    """Ends the process at once, with nothing cleaned up, if a test wants it to die here."""
    if _FILE is not None:
        _crash_if_named(Path(_FILE), name)


def crash_at_verb(when: Literal["before", "after"], verb: str) -> None:
    """The same before and after a verb of the store."""
    if _FILE is not None:
        _crash_if_named(Path(_FILE), f"{when} {verb}")


def _crash_if_named(file: Path, name: str) -> None:
    try:
        if file.read_text() != name:
            return
        file.unlink()
    except FileNotFoundError:
        return  # nobody is to die, or somebody else was quicker
    os._exit(EXIT_CODE)
