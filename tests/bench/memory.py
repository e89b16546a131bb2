"""Memory: the most that a process, or a Redis, has held of it."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from redis import Redis

SAMPLE_EVERY_S = 0.02
_RESET_PEAK = "5"


def peak_mb(pid: int | str) -> float:
    """The most that a process has had in memory, of all that it shares with others too, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"process {pid} has no memory")


def forget_peak(pid: int) -> None:
    """From here on `peak_mb` is the most since now."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


class Growth:
    """Watches how much more memory a Redis uses than when the watch began.

    Attributes:
        mb: The most so far, in MB.
    """

    def __init__(self, redis: Redis) -> None:
        self.mb = 0.0
        self._redis = redis
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Growth:
        self._before = self._used()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            self.mb = max(self.mb, (self._used() - self._before) / 1e6)

    def _used(self) -> int:
        told: Any = self._redis.info("memory")
        return int(told["used_memory"])
