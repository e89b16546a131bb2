"""bytes:text and bytes:sha256: what begins a stream, and what only looks at it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import Chunk
from tasks.errors import TaskError
from tasks.trying import run_stream
from tests.unit.streaming import chunkings


@given(st.text(), st.integers(1, 50))
def test_a_text_is_written_as_utf_8_in_chunks_of_the_given_length(text: str, length: int) -> None:
    written, result = run_stream("bytes:text", {"text": text, "chunkBytes": length})
    assert b"".join(written).decode() == text
    assert all(len(chunk) == length for chunk in written[:-1])
    assert result == {"bytes": len(text.encode())}


def test_half_a_surrogate_pair_does_not_fail_the_step() -> None:
    assert run_stream("bytes:text", {"text": "a\ud83d"})[0] == [b"a?"]


@pytest.mark.parametrize("input", [{}, {"text": 7}, {"text": "a", "chunkBytes": 0}])
def test_an_input_that_is_no_text_is_an_invalid_argument(input: dict[str, object]) -> None:
    with pytest.raises(TaskError) as caught:
        run_stream("bytes:text", input)
    assert caught.value.code == "FC.InvalidArgument"


@given(chunkings())
def test_the_digest_is_that_of_all_bytes_and_the_chunks_pass_as_they_are(
    chunks: list[bytes],
) -> None:
    source = [Chunk(data, headers={"n": str(n)}) for n, data in enumerate(chunks)]
    written, result = run_stream("bytes:sha256", {}, source)
    assert [(chunk, chunk.headers) for chunk in written] == [(c, c.headers) for c in source]
    whole = b"".join(chunks)
    assert result == {"sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}
