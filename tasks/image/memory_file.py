"""A memory file: what an encoder writes to without holding up the other threads."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import IO


def written(write: Callable[[IO[bytes]], None]) -> bytes:
    """The bytes that `write` puts into a file that no disk has.

    Pillow encodes into a file of the system without Python's lock, into a `BytesIO` with it: for
    a photo in a stream, whose decoder is another thread, 0.9 s in place of 1.1 s on two cores.
    """
    with _memory_file() as file:
        write(file)
        size = file.tell()
        file.seek(0)
        return file.read(size)


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("penstock-image", os.MFD_CLOEXEC), "w+b", buffering=0)
    return tempfile.TemporaryFile(prefix="penstock-image-", buffering=0)
