"""The stop of a run: one for all ends in a process, it wakes those that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

from streams.errors import StreamCancelled


class Stop:
    """Set once, it makes every read and write raise `StreamCancelled`. Threads may share it.

    Ends in this process are woken at once; those that wait in Redis look at it twice a second.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._wakers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self.reason = ""

    def set(self, reason: str) -> None:
        """Stops everything. The first reason is kept. Idempotent."""
        with self._lock:
            if self._event.is_set():
                return
            self.reason = reason
            self._event.set()
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    @property
    def is_set(self) -> bool:
        """True once it was set."""
        return self._event.is_set()

    def check(self) -> None:
        """Does nothing until it is set.

        Raises:
            StreamCancelled: it is set; the text is the reason.
        """
        if self._event.is_set():
            raise StreamCancelled(self.reason)

    def wait(self, timeout_s: float) -> bool:
        """Waits until it is set, or so long; True when it is set. Blocking."""
        return self._event.wait(timeout_s)

    def on_set(self, wake: Callable[[], None]) -> None:
        """Has `wake` called by whoever sets it; at once if it is set."""
        with self._lock:
            if not self._event.is_set():
                self._wakers.append(wake)
                return
        wake()
