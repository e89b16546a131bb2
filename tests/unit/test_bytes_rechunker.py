"""The rechunker: lengths depend on the bytes alone, and little is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.bytes.rechunker import Rechunker


def _rechunked(pieces: list[bytes], chunk_bytes: int) -> list[bytes]:
    written: list[bytes] = []
    rechunker = Rechunker(written.append, chunk_bytes)
    for piece in pieces:
        rechunker.add(piece)
    rechunker.end()
    return written


@given(st.lists(st.binary(max_size=40)), st.integers(1, 16))
def test_chunks_have_one_length_whatever_the_pieces_had(pieces: list[bytes], length: int) -> None:
    whole = b"".join(pieces)
    expected = [whole[start : start + length] for start in range(0, len(whole), length)]
    assert _rechunked(pieces, length) == expected


def test_a_chunk_is_written_as_soon_as_it_is_full() -> None:
    written: list[bytes] = []
    rechunker = Rechunker(written.append, 4)
    rechunker.add(b"abc")
    assert written == []
    rechunker.add(memoryview(b"defghi"))
    assert written == [b"abcd", b"efgh"]
    rechunker.end()
    rechunker.end()
    assert written == [b"abcd", b"efgh", b"i"]


def test_a_buffer_may_be_used_again_after_it_was_added() -> None:
    written: list[bytes] = []
    rechunker = Rechunker(written.append, 2)
    buffer = bytearray(b"abc")
    rechunker.add(buffer)
    buffer[:] = b"xyz"
    rechunker.end()
    assert written == [b"ab", b"c"]
