"""Edges over Redis: order, credit, ends and what is left."""

from __future__ import annotations

import array
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from streams.chunk import Chunk, Mark
from streams.edge import Edge
from streams.errors import (
    StreamCancelled,
    StreamCorrupt,
    StreamError,
    StreamFailed,
    StreamIdle,
    StreamUnavailable,
)
from streams.stop import Stop
from streams.writer import StreamWriter
from tests.edges import KEY, binary, payloads
from tests.waiting import wait_until

WINDOW = 64 * 1024


@pytest.fixture
def client(any_redis: Redis) -> Redis:
    return binary(any_redis)


@pytest.fixture
def edge(client: Redis) -> Edge:
    edge = Edge(client, KEY, window_bytes=WINDOW)
    edge.create()
    return edge


@pytest.fixture
def stop() -> Iterator[Stop]:
    """Set at the end, so that no thread of a failed test stays."""
    stop = Stop()
    yield stop
    stop.set("the test is over")


class Outcome(threading.Thread):
    """Does something in a thread; `error` is what it raised."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._what = what
        self.error: StreamError | None = None
        self.start()

    def run(self) -> None:
        """As a thread's."""
        try:
            self._what()
        except StreamError as error:
            self.error = error

    def raised(self, timeout_s: float) -> StreamError | None:
        """Its error, once it is over; AssertionError if it goes on."""
        self.join(timeout_s)
        assert not self.is_alive()
        return self.error


def written(writer: StreamWriter, chunks: list[bytes]) -> Outcome:
    def write() -> None:
        for chunk in chunks:
            writer.write(chunk)
        writer.end()

    return Outcome(write)


def test_chunks_come_in_order_with_numbers_and_headers(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    writer.write(b"one", {"y": "0", "ä": "ö"})
    writer.write(b"")
    writer.end()
    chunks = list(reader)
    assert [(c, c.seq, c.headers) for c in chunks] == [
        (b"one", 1, {"y": "0", "ä": "ö"}),
        (b"", 2, {}),
    ]
    assert all(isinstance(chunk, Chunk) for chunk in chunks)
    assert (reader.figures.chunks, reader.figures.bytes) == (2, 3)
    assert edge.figures().bytes == writer.figures.bytes == 3
    assert list(reader) == []


def test_a_chunk_passes_its_headers_on_unless_others_are_given(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    chunk = Chunk(b"band", 7, {"rows": "16"})
    writer.write(chunk)
    writer.write(chunk, {})
    writer.end()
    assert [chunk.headers for chunk in reader] == [{"rows": "16"}, {}]


def test_any_buffer_is_written_as_its_bytes(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    numbers = array.array("i", [1, 2, 3])
    writer.write(memoryview(numbers))
    writer.write(bytearray(b"abc"))
    writer.end()
    assert [bytes(chunk) for chunk in reader] == [numbers.tobytes(), b"abc"]


def test_a_writer_waits_until_enough_is_committed(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    done = written(writer, [bytes(20_000)] * 6)
    wait_until(lambda: edge.progress().written_seq == 3)
    chunks = iter(reader)
    first = next(chunks)
    # Reading alone frees nothing.
    assert edge.progress().written_seq == 3
    assert done.is_alive()
    reader.commit(first.seq)
    reader.flush()
    wait_until(lambda: edge.progress().written_seq == 4)
    for chunk in chunks:
        assert edge.progress().outstanding_bytes <= WINDOW
        reader.commit(chunk.seq)
    assert done.raised(5) is None
    assert writer.figures.blocked_s > 0
    assert edge.progress().outstanding_bytes == 0


def test_tiny_chunks_cost_what_their_entries_take(edge: Edge, stop: Stop) -> None:
    writer = edge.writer(1, stop, resume_seq=None)
    done = written(writer, [b""] * 2000)
    wait_until(lambda: edge.progress().outstanding_bytes > WINDOW - 100)
    stop.set("enough")
    assert isinstance(done.raised(2), StreamCancelled)
    assert edge.progress().written_seq == WINDOW // 64


def test_a_chunk_larger_than_the_window_is_admitted_alone(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    writer.write(b"small")
    done = written(writer, [bytes(2 * WINDOW), b"small"])
    chunks = iter(reader)
    assert next(chunks) == b"small"
    assert edge.progress().written_seq == 1
    reader.commit(1)
    assert len(next(chunks)) == 2 * WINDOW
    assert edge.progress().written_seq == 2
    reader.commit(2)
    assert next(chunks) == b"small"
    assert done.raised(5) is None


def test_an_end_needs_no_credit(edge: Edge, stop: Stop) -> None:
    writer = edge.writer(1, stop, resume_seq=None)
    writer.write(bytes(2 * WINDOW))
    writer.end()
    writer.end()
    assert edge.progress().ended


def test_an_error_comes_after_the_chunks_and_stays(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    writer.write(bytes(2 * WINDOW))
    writer.fail("InvalidImage", "row 7 is cut off")
    writer.end()
    chunks = iter(reader)
    assert len(next(chunks)) == 2 * WINDOW
    for asked in (chunks, iter(reader)):
        with pytest.raises(StreamFailed) as raised:
            next(asked)
        assert (raised.value.error, raised.value.cause) == ("InvalidImage", "row 7 is cut off")


def test_marks_are_told_to_those_who_ask_for_them(edge: Edge, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    writer.write(b"a")
    writer.mark()
    writer.write(b"b")
    writer.end()
    kinds = [(type(entry), entry.seq) for entry in reader.entries()]
    assert kinds == [(Chunk, 1), (Mark, 2), (Chunk, 3)]


def test_deleting_an_edge_wakes_both_ends_within_a_second(edge: Edge, stop: Stop) -> None:
    writer = edge.writer(1, stop, resume_seq=None)
    writing = written(writer, [bytes(WINDOW)] * 2)
    wait_until(lambda: edge.progress().written_seq == 1)
    reader = edge.reader(1, stop)
    next(iter(reader))
    reading = Outcome(lambda: next(iter(reader)))
    edge.delete()
    begun = time.monotonic()
    assert isinstance(writing.raised(5), StreamCancelled)
    assert isinstance(reading.raised(5), StreamCancelled)
    assert time.monotonic() - begun < 1.0
    with pytest.raises(StreamCancelled):
        reader.commit(1)


def test_nothing_comes_back_of_a_deleted_edge(edge: Edge, client: Redis, stop: Stop) -> None:
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    writer.write(b"x")
    next(iter(reader))
    edge.delete()
    for late in (lambda: writer.write(b"y"), writer.end, lambda: reader.commit(1), edge.progress):
        with pytest.raises(StreamCancelled):
            late()
    for late_end in (
        lambda: edge.writer(2, stop, resume_seq=None),
        lambda: edge.reader(2, stop),
    ):
        with pytest.raises(StreamCancelled):
            late_end()
    assert client.keys() == []


def test_a_stop_wakes_both_ends_within_a_second(edge: Edge, stop: Stop) -> None:
    writing = written(edge.writer(1, stop, resume_seq=None), [bytes(WINDOW)] * 2)
    wait_until(lambda: edge.progress().written_seq == 1)
    reader = edge.reader(1, stop)
    next(iter(reader))
    reading = Outcome(lambda: next(iter(reader)))
    begun = time.monotonic()
    stop.set("client gone")
    for end in (writing, reading):
        error = end.raised(5)
        assert isinstance(error, StreamCancelled)
        assert str(error) == "client gone"
    assert time.monotonic() - begun < 1.0


@pytest.mark.parametrize("idle_s", [0.05, 0.001])
def test_an_end_that_waits_in_vain_says_so_and_can_go_on(
    client: Redis, stop: Stop, idle_s: float
) -> None:
    edge = Edge(client, KEY, window_bytes=WINDOW, idle_s=idle_s)
    edge.create()
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    with pytest.raises(StreamIdle):
        next(iter(reader))
    writer.write(bytes(WINDOW))
    with pytest.raises(StreamIdle):
        writer.write(b"more")
    reader.commit(next(iter(reader)).seq)
    writer.write(b"more")
    writer.end()
    assert list(reader) == [b"more"]


def test_a_changed_byte_is_noticed(edge: Edge, client: Redis, stop: Stop) -> None:
    edge.writer(1, stop, resume_seq=None).write(b"right")
    name, fields = client.xrange(KEY)[0]  # type: ignore[index]  # the synchronous client
    edge.delete()
    edge.create()
    client.xadd(KEY, fields | {b"d": b"wrong"}, id=name)
    with pytest.raises(StreamCorrupt, match="entry 1: "):
        next(iter(edge.reader(1, stop)))


def test_a_missing_entry_is_noticed(edge: Edge, client: Redis, stop: Stop) -> None:
    writer = edge.writer(1, stop, resume_seq=None)
    for chunk in (b"one", b"two", b"three"):
        writer.write(chunk)
    client.xdel(KEY, "1-2")
    chunks = iter(edge.reader(1, stop))
    with pytest.raises(StreamCorrupt):
        list(chunks)


def test_every_key_has_a_life_from_the_beginning(edge: Edge, client: Redis, stop: Stop) -> None:
    def lives() -> set[bool]:
        return {0 < client.ttl(key) <= 600 for key in client.keys()}  # type: ignore[union-attr, operator]

    assert lives() == {True}
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    writer.write(b"x")
    reader.commit(next(iter(reader)).seq)
    assert len(client.keys()) == 3  # type: ignore[arg-type]
    assert lives() == {True}


def test_keys_in_use_are_kept_alive(client: Redis, stop: Stop) -> None:
    edge = Edge(client, KEY, ttl_s=0.4)
    edge.create()
    writer, reader = edge.writer(1, stop, resume_seq=None), edge.reader(1, stop)
    got: list[bytes] = []
    reading = Outcome(lambda: got.extend(reader))
    begun = time.monotonic()
    # Nothing but its waiting keeps the edge.
    wait_until(lambda: time.monotonic() - begun > 1.0)
    writer.write(b"late")
    writer.end()
    assert reading.raised(5) is None
    assert got == [b"late"]


def test_a_client_for_texts_is_refused(any_redis: Redis) -> None:
    with pytest.raises(ValueError, match="returns bytes"):
        Edge(any_redis, KEY)


def test_patience_with_redis_ends(stop: Stop) -> None:
    edge = Edge(Redis(port=1), KEY, patience_s=0.2)
    with pytest.raises(StreamUnavailable, match=r"0\.2 s"):
        edge.create()


@pytest.mark.parametrize("shared", [False, True])
def test_a_lost_answer_changes_nothing(any_redis: Redis, stop: Stop, shared: bool) -> None:
    client = binary(any_redis, loses_answers=True)
    edge = Edge(client, KEY, window_bytes=WINDOW, shared=shared)
    edge.create()
    reader, writer = edge.reader(1, stop), edge.writer(1, stop, resume_seq=None)
    sent = list(payloads(16))
    done = written(writer, sent)
    got = []
    for chunk in reader:
        got.append(bytes(chunk))
        reader.commit(chunk.seq, out_seq=2 * chunk.seq)
    assert done.raised(10) is None
    assert got == sent
    assert client.lost > 30  # type: ignore[attr-defined]
    assert edge.progress().read_seq == 16
    assert edge.progress().out_seq == 32
    edge.delete()
    assert binary(any_redis).keys() == []
