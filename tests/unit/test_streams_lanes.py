"""Lanes: several at work, one order."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from itertools import islice

import pytest
from redis import Redis

from streams.chunk import Mark
from streams.connection import connect
from streams.edge import Edge
from streams.ends import Reader, Writer
from streams.errors import StreamCorrupt, StreamFailed
from streams.lanes import LaneReader, LaneWriter, lane_share
from streams.pipe import pipe
from streams.stop import Stop
from tests.edges import binary

LANES = 3
COUNT = 40
WINDOW = 2000
Ends = Callable[[], tuple[Writer, Reader]]


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture(params=["pipes", "redis"])
def ends(request: pytest.FixtureRequest, stop: Stop) -> Ends:
    """Makes the two ends of another edge."""
    if request.param == "pipes":
        return lambda: pipe(WINDOW, stop)
    client = connect(request.getfixturevalue("redis_url"))
    made: list[Edge] = []

    def make() -> tuple[Writer, Reader]:
        edge = Edge(client, f"test:{{lanes}}:e{len(made)}", window_bytes=WINDOW)
        made.append(edge)
        edge.create()
        return edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)

    return make


def outputs(payload: bytes) -> list[bytes]:
    """None, one or two for each input."""
    return [payload * 10 + b"%d" % n for n in range(int(payload) % 3)]


EXPECTED = [out for n in range(COUNT) for out in outputs(b"%d" % n)]


def work(reader: Reader, writer: Writer) -> None:
    """A lane that follows a dealer: it marks."""
    for chunk in reader:
        for out in outputs(bytes(chunk)):
            writer.write(out)
        writer.mark()
        reader.commit(chunk.seq, writer.seq)
    writer.end()


def pass_on(reader: Reader, writer: Writer) -> None:
    """A lane that follows a lane: it passes marks on."""
    for entry in reader.entries():
        if isinstance(entry, Mark):
            writer.mark()
        else:
            writer.write(bytes(entry))
        reader.commit(entry.seq, writer.seq)
    writer.end()


def deal(writers: Sequence[Writer]) -> None:
    dealer = LaneWriter(writers)
    for n in range(COUNT):
        dealer.write(b"%d" % n)
    dealer.end()
    assert dealer.seq == COUNT


def started(target: Callable[..., None], *order: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=order, daemon=True)
    thread.start()
    return thread


def test_outputs_of_lanes_come_in_the_order_of_their_inputs(ends: Ends) -> None:
    dealt, done, passed = ([ends() for _ in range(LANES)] for _ in range(3))
    threads = [started(deal, [writer for writer, _ in dealt])]
    for lane in random.Random(1).sample(range(LANES), LANES):
        threads.append(started(work, dealt[lane][1], done[lane][0]))
        threads.append(started(pass_on, done[lane][1], passed[lane][0]))
    reader = LaneReader([reader for _, reader in passed])
    got = []
    for chunk in reader:
        got.append(chunk)
        reader.commit(chunk.seq)
    assert [bytes(chunk) for chunk in got] == EXPECTED
    assert [chunk.seq for chunk in got] == list(range(1, len(EXPECTED) + 1))
    assert reader.figures.chunks == len(EXPECTED)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_a_lane_that_fails_fails_the_reader(ends: Ends) -> None:
    lanes = [ends() for _ in range(2)]
    lanes[0][0].write(b"a")
    lanes[0][0].mark()
    lanes[1][0].fail("Task.Broken", "no paint")
    chunks = iter(LaneReader([reader for _, reader in lanes]))
    assert next(chunks) == b"a"
    with pytest.raises(StreamFailed, match="no paint"):
        next(chunks)


def test_a_failure_is_dealt_to_all_lanes(ends: Ends) -> None:
    lanes = [ends() for _ in range(2)]
    LaneWriter([writer for writer, _ in lanes]).fail("Task.Broken", "no paint")
    for _, reader in lanes:
        with pytest.raises(StreamFailed):
            list(reader)


@pytest.mark.parametrize("within", [True, False], ids=["within a group", "too few groups"])
def test_a_lane_that_ends_too_early_is_noticed(ends: Ends, within: bool) -> None:
    lanes = [ends() for _ in range(2)]
    first, second = (writer for writer, _ in lanes)
    first.write(b"a")
    if not within:
        first.mark()
    first.end()
    for _ in range(2):
        second.write(b"b")
        second.mark()
    second.end()
    with pytest.raises(StreamCorrupt):
        list(LaneReader([reader for _, reader in lanes]))


def test_lanes_share_what_was_dealt() -> None:
    for count in range(10):
        dealt = [n % LANES for n in range(count)]
        assert [lane_share(count, LANES, lane) for lane in range(LANES)] == [
            dealt.count(lane) for lane in range(LANES)
        ]


@pytest.mark.parametrize("read", range(0, 14, 3))
def test_a_successor_of_a_lane_reader_finds_the_turn(any_redis: Redis, read: int) -> None:
    client, stop = binary(any_redis), Stop()
    edges = [Edge(client, f"test:{{lanes}}:e{lane}") for lane in range(LANES)]
    for lane, edge in enumerate(edges):
        edge.create()
        writer = edge.writer(1, stop, resume_seq=None)
        for n in range(lane, 12, LANES):
            for out in outputs(b"%d" % n):
                writer.write(out)
            writer.mark()
        writer.end()
    expected = [out for n in range(12) for out in outputs(b"%d" % n)]
    old = LaneReader([edge.reader(1, stop) for edge in edges])
    for chunk in islice(old, read):
        old.commit(chunk.seq, out_seq=chunk.seq)
    old.flush()
    readers = [edge.reader(2, stop) for edge in edges]
    new = LaneReader(readers, [reader.position for reader in readers])
    got = list(new)
    assert [bytes(chunk) for chunk in got] == expected[read:]
    assert [chunk.seq for chunk in got] == list(range(read + 1, len(expected) + 1))
    assert max(edge.progress().out_seq or 0 for edge in edges) == min(read, len(expected))


def test_a_successor_of_a_dealer_goes_on_with_the_turn(any_redis: Redis) -> None:
    client, stop = binary(any_redis), Stop()
    edges = [Edge(client, f"test:{{lanes}}:e{lane}") for lane in range(LANES)]
    for edge in edges:
        edge.create()
    for epoch, begin, end in ((1, 0, 5), (2, 4, 9)):
        shares = [lane_share(begin, LANES, lane) for lane in range(LANES)]
        writers = [
            edge.writer(epoch, stop, resume_seq=share)
            for edge, share in zip(edges, shares, strict=True)
        ]
        dealer = LaneWriter(writers, resume_seq=begin)
        for n in range(begin, end):
            dealer.write(b"%d" % n)
    dealer.end()
    for lane, edge in enumerate(edges):
        assert [int(chunk) for chunk in edge.reader(1, stop)] == list(range(lane, 9, LANES))
