"""No tasks: the worker that loads this gets another signal at each call of a signal's handler."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

DEPTH, MOST = 4, 20
"""How far below the handler calls count, and how many signals come in all."""

_sent = 0


def _interrupt(frame: FrameType, event: str, told: Any) -> None:
    """What Python calls at each call and return in the main thread."""
    global _sent
    if event in ("call", "c_call") and _sent < MOST and _is_handling(frame):
        _sent += 1
        signal.raise_signal(signal.SIGTERM)


def _is_handling(frame: FrameType | None) -> bool:
    for _ in range(DEPTH):
        if frame is None:
            return False
        if frame.f_code.co_name == "_on_signal":
            return True
        frame = frame.f_back
    return False


sys.setprofile(_interrupt)
