"""Limits: the signal by which Celery says that a task's time is over reaches the task alone.

Celery's own handler raises wherever the process is. Between the two halves of a command to Redis
that would cost more than a task: outside of tasks the signal is not heard.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler
from celery.exceptions import SoftTimeLimitExceeded

T = TypeVar("T")

_at_task = False
_noted: list[bool] = []


def listen() -> None:
    """Takes the place of the pool's handler in a process of a pool; elsewhere nothing happens."""
    if signal.getsignal(SIG_SOFT_TIMEOUT) is soft_timeout_sighandler:
        signal.signal(SIG_SOFT_TIMEOUT, _on_signal)


def within(task: Callable[[], T]) -> T:
    """Calls a task, which the signal may interrupt.

    Raises:
        SoftTimeLimitExceeded: its time is over. What the task raises.
    """
    global _at_task
    _at_task = True
    try:
        return task()
    finally:
        _at_task = False


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Within the block the signal interrupts nothing: the function that it gives tells of it."""
    over: list[bool] = []
    global _noted
    _noted, before = over, _noted
    try:
        yield lambda: bool(over)
    finally:
        _noted = before


def _on_signal(number: int, frame: FrameType | None) -> None:
    _noted.append(True)
    if _at_task:
        raise SoftTimeLimitExceeded
