"""Lines: cuts a stream into lines, which may go across its chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.errors import TaskError

LINE_TOO_LONG = "LineTooLong"
MAX_LINE_BYTES = 1024 * 1024


def lines(chunks: Iterable[bytes], max_bytes: int = MAX_LINE_BYTES) -> Iterator[list[bytes]]:
    r"""The lines that end in each chunk, each with its `\n`; the very last one may have none.

    Args:
        chunks: The stream; any chunk may end anywhere.
        max_bytes: The longest line. So much is held in memory, besides one chunk.

    Raises:
        TaskError: `LineTooLong`.
    """
    begun, count = bytearray(), 0
    for chunk in chunks:
        whole, found, rest = chunk.rpartition(b"\n")
        ended = [part + b"\n" for part in (bytes(begun) + whole).split(b"\n")] if found else []
        if found:
            begun = bytearray()
        begun += rest
        _check([*ended, begun], max_bytes, count)
        count += len(ended)
        if ended:
            yield ended
    if begun:
        yield [bytes(begun)]


def _check(found: list[bytes | bytearray], max_bytes: int, before: int) -> None:
    for number, line in enumerate(found, before + 1):
        if len(line) > max_bytes:
            raise TaskError(
                LINE_TOO_LONG,
                f"line {number} has more than {max_bytes} bytes: raise maxLineBytes, or is this "
                "no text?",
            )
