"""Ranged reading: whole pieces in order, however the bodies come and wherever they break."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import TaskError
from tasks.storage.ranged import BREAKS, Body, check_partial, read_ranged

DATA = bytes(range(256)) * 2


class Bodies:
    """An object whose n-th body ends after `lengths[n]` bytes, with an error or without one."""

    def __init__(self, lengths: list[int], block_bytes: int, silent: bool) -> None:
        self.lengths = iter(lengths)
        self.block_bytes = block_bytes
        self.silent = silent
        self.asked: list[tuple[int, str]] = []

    @contextmanager
    def ask(self, start: int, version: str) -> Iterator[Body]:
        self.asked.append((start, version))
        length = next(self.lengths, len(DATA))
        yield Body(self._blocks(DATA[start : start + length], start), len(DATA), "v1")

    def _blocks(self, data: bytes, start: int) -> Iterator[bytes]:
        for at in range(0, len(data), self.block_bytes):
            yield data[at : at + self.block_bytes]
        if start + len(data) < len(DATA) and not self.silent:
            raise ConnectionError


@given(
    st.lists(st.integers(50, 300), max_size=8),
    st.integers(1, 70),
    st.integers(1, 50),
    st.integers(0, len(DATA)),
    st.booleans(),
)
def test_pieces_are_whole_and_in_order_through_any_breaks(
    lengths: list[int], block_bytes: int, piece_bytes: int, start: int, silent: bool
) -> None:
    bodies = Bodies(lengths, block_bytes, silent)
    pieces = list(read_ranged(bodies.ask, piece_bytes, start, "", (ConnectionError,)))
    assert b"".join(pieces) == DATA[start:]
    assert all(len(piece) == piece_bytes for piece in pieces[:-1])
    assert all(version == "v1" for _, version in bodies.asked[1:])


@pytest.mark.parametrize("silent", [True, False])
def test_bodies_that_bring_nothing_are_not_asked_for_without_end(silent: bool) -> None:
    bodies = Bodies([200, *[3] * 50], 10, silent)
    with pytest.raises(TaskError, match=f"at byte 200 of {len(DATA)}") as caught:
        list(read_ranged(bodies.ask, 100, 0, "", (ConnectionError,)))
    assert caught.value.code == "FC.InternalServerError"
    assert bodies.asked[1:] == [(200, "v1")] * BREAKS


def test_other_errors_are_no_breaks() -> None:
    bodies = Bodies([100], 10, silent=False)
    with pytest.raises(ConnectionError):
        list(read_ranged(bodies.ask, 10, 0, "", (TimeoutError,)))


def test_a_server_that_heeds_no_range_is_not_taken_for_one_that_does() -> None:
    check_partial(0, 200)
    check_partial(5, 206)
    with pytest.raises(TaskError, match="byte 5 .*200"):
        check_partial(5, 200)
