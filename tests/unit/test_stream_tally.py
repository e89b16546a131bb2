"""The tally at the end of a stream: what has left it, whoever of its writers wrote it."""

from __future__ import annotations

import hashlib

import pytest
from redis import Redis

from streams.edge import Edge
from streams.stop import Stop
from tests.edges import KEY, WINDOW, binary
from workers.streaming.tally import Tally


@pytest.fixture
def edge(any_redis: Redis) -> Edge:
    edge = Edge(binary(any_redis), KEY, window_bytes=WINDOW)
    edge.create()
    return edge


def test_a_successor_that_goes_on_counts_what_was_written_before_it(edge: Edge) -> None:
    first = Tally(edge.writer(1, Stop(), resume_seq=None))
    for chunk in (b"one", b"three"):
        first.write(chunk)
    second = Tally(edge.writer(2, Stop(), resume_seq=2), whole=False)
    second.write(b"seven77")
    second.end()
    assert second.total() == {"chunks": 3, "bytes": 15, "sha256": None}


def test_a_successor_that_writes_all_again_counts_nothing_twice(edge: Edge) -> None:
    first = Tally(edge.writer(1, Stop(), resume_seq=None))
    first.write(b"one")
    second = Tally(edge.writer(2, Stop(), resume_seq=None))
    for chunk in (b"one", b"three"):
        second.write(chunk)
    second.end()
    sha256 = hashlib.sha256(b"onethree").hexdigest()
    assert second.total() == {"chunks": 2, "bytes": 8, "sha256": sha256}


def test_what_nobody_reads_is_counted_and_hashed() -> None:
    tally = Tally()
    tally.write(b"one")
    tally.end()
    sha256 = hashlib.sha256(b"one").hexdigest()
    assert tally.total() == {"chunks": 1, "bytes": 3, "sha256": sha256}
