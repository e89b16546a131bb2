"""Waking: a worker's event loop is woken when a thread has ended a step.

Celery's loop sleeps until something comes from outside or a timer is due. A process of a pool ends
its task by a message that wakes it; a thread does not, and its acknowledgement, and with it the
next message, would wait for a timer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

_BYTES_AT_ONCE = 4096

_bell: Bell | None = None


class Bell:
    """A pipe to the loop's own thread."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def listen(self, hub: Any) -> None:
        """Has the loop wake up by `ring`. Idempotent."""
        hub.add_reader(self._reader, self._heard)

    def ring(self) -> None:
        """Wakes the loop. Safe from every thread; never blocks."""
        with suppress(BlockingIOError):  # full: it will wake up anyway
            os.write(self._writer, b".")

    def _heard(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._reader, _BYTES_AT_ONCE)


def listen(hub: Any) -> None:
    """Has this process's loop woken from now on."""
    global _bell
    _bell = _bell or Bell()
    _bell.listen(hub)


def wake() -> None:
    """Wakes the loop of this process, if it listens."""
    if _bell is not None:
        _bell.ring()
