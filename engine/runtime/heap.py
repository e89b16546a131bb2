"""The heap: how the C library gives out memory to a worker's processes.

What is said here is for glibc; other C libraries do not listen.
"""

from __future__ import annotations

import ctypes
import os

_TUNABLES = "GLIBC_TUNABLES"
_NO_CACHES = "glibc.malloc.tcache_max=40"
_M_ARENA_MAX = -8


def heap_environment() -> dict[str, str]:
    """What to add to the environment of a worker that is to be started.

    A thread keeps small blocks that it has freed for itself. Up to glibc 2.37 an aligned block, as
    libvips asks for all the time, is cut out of a larger one, and with the small rest kept so
    the larger one is never whole again: 50 MB that nobody can use after a photo of 108
    megapixels. Python has caches of its own; no difference in speed was measured.
    """
    return {} if _TUNABLES in os.environ else {_TUNABLES: _NO_CACHES}


def keep_heap_small() -> None:
    """Of this process and those forked from it: all threads share one heap.

    glibc gives every thread a heap of its own, and a block goes back to the heap it came from: the
    stages of a photo, a thread each, then hold 45 MB more that nobody uses, at the same speed.
    `MALLOC_ARENA_MAX` in the environment is left alone. Programs that a task starts are not told
    what `heap_environment` says.
    """
    if os.environ.get(_TUNABLES) == _NO_CACHES:
        del os.environ[_TUNABLES]
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)
