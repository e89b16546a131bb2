"""Pipes: the edges within a process."""

from __future__ import annotations

import threading

import pytest

from streams.chunk import Chunk, Mark
from streams.errors import StreamCancelled, StreamFailed
from streams.pipe import PipeWriter, pipe
from streams.stop import Stop
from tests.waiting import wait_until


def in_thread(writer: PipeWriter, chunks: list[bytes]) -> threading.Thread:
    def write() -> None:
        for chunk in chunks:
            writer.write(chunk)
        writer.end()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_chunks_come_in_order_and_end() -> None:
    writer, reader = pipe(1000, Stop())
    thread = in_thread(writer, [b"%d" % n * 100 for n in range(50)])
    assert [bytes(chunk) for chunk in reader] == [b"%d" % n * 100 for n in range(50)]
    thread.join(5)
    assert list(reader) == []
    assert reader.figures.chunks == writer.figures.chunks == 50
    assert reader.figures.bytes == writer.figures.bytes


def test_no_more_than_the_window_waits() -> None:
    writer, reader = pipe(1000, Stop())
    in_thread(writer, [bytes(400)] * 4)
    wait_until(lambda: writer.figures.chunks == 2)
    next(iter(reader))
    wait_until(lambda: writer.figures.chunks == 3)
    list(reader)
    assert writer.figures.blocked_s > 0


def test_a_chunk_larger_than_the_window_waits_alone() -> None:
    writer, reader = pipe(1000, Stop())
    in_thread(writer, [bytes(5000), b"small"])
    wait_until(lambda: writer.figures.chunks == 1)
    assert [len(chunk) for chunk in reader] == [5000, 5]


def test_a_chunk_passes_uncopied_if_it_has_the_number_and_headers_already() -> None:
    first, middle = pipe(10_000, Stop())
    second, reader = pipe(10_000, Stop())
    fresh = Chunk(b"new", headers={"y": "0"})
    first.write(fresh)
    first.write(b"bytes")
    first.end()
    passed = list(middle)
    assert passed[0] is fresh
    for chunk in passed:
        second.write(chunk)
    second.write(passed[0])
    second.write(passed[1], {"other": "header"})
    second.end()
    got = list(reader)
    assert got[0] is passed[0]
    assert got[1] is passed[1]
    assert [chunk.seq for chunk in got] == [1, 2, 3, 4]
    assert (got[2], got[2].headers) == (b"new", {"y": "0"})
    assert got[3].headers == {"other": "header"}
    # Those that the step before may still hold were not touched.
    assert [chunk.seq for chunk in passed] == [1, 2]


def test_an_error_comes_after_the_chunks() -> None:
    writer, reader = pipe(1000, Stop())
    writer.write(b"a")
    writer.mark()
    writer.fail("Task.Broken", "no paint")
    writer.end()
    entries = reader.entries()
    assert next(entries) == b"a"
    assert isinstance(next(entries), Mark)
    for _ in range(2):
        with pytest.raises(StreamFailed, match="no paint"):
            next(reader.entries())


def test_a_stop_wakes_both_ends() -> None:
    stop = Stop()
    raised: list[str] = []

    def until_cancelled(what: threading.Thread | None, window: int) -> None:
        writer, reader = pipe(window, stop)
        try:
            if window:
                next(iter(reader))
            writer.write(b"1")
            writer.write(b"2")
        except StreamCancelled as error:
            raised.append(str(error))

    threads = [threading.Thread(target=until_cancelled, args=(None, w)) for w in (0, 100)]
    for thread in threads:
        thread.start()
    stop.set("client gone")
    stop.set("too late")
    for thread in threads:
        thread.join(5)
    assert raised == ["client gone"] * 2
    with pytest.raises(StreamCancelled):
        pipe(100, stop)[0].write(b"x")


def test_commits_are_remembered_for_both_ends() -> None:
    writer, reader = pipe(1000, Stop())
    reader.commit(3)
    reader.commit(2)
    assert writer.committed == reader.committed == 3
