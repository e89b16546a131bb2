"""What the tests of stream tasks share: cutting bytes into chunks, and the memory a run takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

import tasks
from tasks.trying import MemoryStream, run_stream

tasks.shipped()


def chunkings(max_size: int = 2000) -> st.SearchStrategy[list[bytes]]:
    """Streams: lists of chunks, some of them empty, of bytes that compress and that do not."""
    patterned = st.builds(
        lambda piece, times: piece * times, st.binary(max_size=20), st.integers(0, 100)
    )
    return st.lists(st.one_of(st.binary(max_size=max_size), patterned), max_size=6)


def bytes_of(name: str, input: dict[str, Any], chunks: Iterable[bytes], key: str = "") -> bytes:
    """Everything that a task writes."""
    context = MemoryStream(idempotency_key=key) if key else None
    return b"".join(run_stream(name, input, chunks, context)[0])


def recut(data: bytes, length: int) -> list[bytes]:
    """The same bytes in chunks of another length."""
    return [data[start : start + length] for start in range(0, len(data), length)]


def peak_bytes(run: Callable[[MemoryStream], object]) -> int:
    """The most memory that a run with a context that keeps nothing has at once."""
    tracemalloc.start()
    try:
        run(MemoryStream(keep=False))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
