"""A chunk: the bytes that were written at once, with what was said about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypeAlias, TypeGuard

Payload: TypeAlias = bytes | bytearray | memoryview
"""What may be written. A memoryview must be contiguous."""

UNNUMBERED = 0
"""The `seq` of a chunk that no stream has carried yet."""


class Chunk(bytes):
    """Bytes with a place in a stream. It is equal to, and hashes as, its bytes alone.

    Attributes:
        seq: its number in the stream it was read from, from 1; 0 before it was in one.
        headers: what its writer has said about it; empty, if nothing.
    """

    seq: int
    headers: dict[str, str]

    def __new__(
        cls,
        payload: Payload = b"",
        seq: int = UNNUMBERED,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Copies `payload` once."""
        chunk = super().__new__(cls, payload)
        chunk.seq = seq
        chunk.headers = dict(headers) if headers else {}
        return chunk


class Mark:
    """The end of the outputs that belong to one input: how the outputs of lanes are put in order.

    `seq` is its number among the entries of its stream.
    """

    __slots__ = ("seq",)

    def __init__(self, seq: int) -> None:
        self.seq = seq


def is_chunk(payload: Payload) -> TypeGuard[Chunk]:
    """True for chunks, also for those of another class that has the same attributes."""
    return isinstance(payload, bytes) and hasattr(payload, "seq") and hasattr(payload, "headers")


def flat(payload: Payload) -> bytes | memoryview:
    """The payload as single bytes, uncopied, so that its length is its size.

    Raises:
        TypeError: it is a memoryview that is not contiguous.
    """
    return payload if isinstance(payload, bytes) else memoryview(payload).cast("B")


def headers_of(payload: Payload, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of what is being written: those given, else those that a chunk has with it."""
    if headers is None:
        headers = getattr(payload, "headers", None)
    return dict(headers) if headers else {}
