"""Memory: how the C library of a worker's processes gives it out."""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX = -8


def keep_in_one_arena() -> None:
    """All threads share one heap, also those of processes that are forked from here.

    glibc gives every thread a heap of its own, and a block goes back to the heap it came from: the
    stages of a photo, a thread each, then hold 45 MB more that nobody uses, at the same speed.
    `MALLOC_ARENA_MAX` in the environment is left alone; other C libraries have no such heaps.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)
