"""The one place of the tests where time passes: waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T], timeout_s: float = 10.0, every_s: float = 0.02) -> T:
    """Calls `probe` until it returns something true, and returns that.

    Raises:
        AssertionError: it did not within `timeout_s`; the last value is in the message.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout_s} s; last value: {value!r}")
        time.sleep(every_s)
    return value
