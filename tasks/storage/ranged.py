"""Ranged reading: an object's bytes as pieces of one length, through broken connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tasks.errors import SERVER_ERROR, TaskError

BREAKS = 5
"""How often in a row a body may bring no whole piece."""


@dataclass(frozen=True, slots=True)
class Body:
    """An answer from some place of an object to its end, still to be read.

    Attributes:
        blocks: Its bytes.
        size: Of the whole object.
        version: What `ObjectInfo.version` would be.
    """

    blocks: Iterator[bytes]
    size: int
    version: str


OpenBody = Callable[[int, str], AbstractContextManager[Body]]
"""Asks for the bytes from a place on, of a version ("" is any)."""


def read_ranged(
    ask: OpenBody, piece_bytes: int, start: int, version: str, broken: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """The bytes from `start` to the end, in pieces of `piece_bytes`; the last may be shorter.

    A body that breaks off is asked for again from the last whole piece on, in the same version,
    so that a reader who takes his time is served too.

    Args:
        ask: See OpenBody.
        piece_bytes: Length of a piece.
        start: Not beyond the end of the object.
        version: "" takes the one that is there.
        broken: What the blocks raise when the connection breaks.

    Raises:
        TaskError: What `ask` raises; `FC.InternalServerError`, it broke off too often.
    """
    breaks, end = 0, start + 1
    while start < end and breaks < BREAKS:
        breaks += 1
        with ask(start, version) as body:
            end, version = body.size, body.version
            pieces = _pieces(body.blocks, piece_bytes, end - start)
            while (piece := _next(pieces, broken)) is not None:
                yield piece
                start, breaks = start + len(piece), 0
    if start < end:
        raise TaskError(SERVER_ERROR, f"the object breaks off at byte {start} of {end}")


def check_partial(start: int, status: int) -> None:
    """Passes unless a server has answered with the whole object instead of the range from `start`.

    Raises:
        TaskError: `FC.InternalServerError`.
    """
    if start and status != 206:
        raise TaskError(SERVER_ERROR, f"a range from byte {start} was answered with {status}")


def _next(pieces: Iterator[bytes], broken: tuple[type[Exception], ...]) -> bytes | None:
    try:
        return next(pieces, None)
    except broken:
        return None


def _pieces(blocks: Iterator[bytes], piece_bytes: int, expected: int) -> Iterator[bytes]:
    """Whole pieces; the rest of the blocks only if it is where the object ends."""
    kept = bytearray()
    for block in blocks:
        if not kept and len(block) == piece_bytes:
            expected -= len(block)
            yield block
            continue
        kept += block
        while len(kept) >= piece_bytes:
            expected -= piece_bytes
            yield bytes(kept[:piece_bytes])
            del kept[:piece_bytes]
    if kept and len(kept) == expected:
        yield bytes(kept)
