"""Take-overs: an end dies, its successor goes on, and nobody sees a difference."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from redis import Redis

from engine.runtime.embedded import EmbeddedRedis
from streams.connection import connect
from streams.edge import Edge
from streams.errors import StreamCancelled, StreamCorrupt, StreamFailed, StreamFenced, StreamLost
from streams.spool import Spool, sweep
from streams.stop import Stop
from tests.edges import KEY, WINDOW, EndProcess, binary, digest, payloads, rings
from tests.waiting import wait_until

STOP = Stop()


@pytest.fixture
def edge(any_redis: Redis) -> Edge:
    edge = Edge(binary(any_redis), KEY, window_bytes=WINDOW)
    edge.create()
    return edge


def write(edge: Edge, epoch: int, chunks: list[bytes], resume_seq: int | None = None) -> None:
    writer = edge.writer(epoch, STOP, resume_seq=resume_seq)
    for chunk in chunks:
        writer.write(chunk)
    writer.end()


def test_a_writer_that_replays_skips_what_is_there(edge: Edge) -> None:
    first = edge.writer(1, STOP, resume_seq=None)
    reader = edge.reader(1, STOP)
    for chunk in (b"a", b"b", b"c"):
        first.write(chunk)
    chunks = iter(reader)
    reader.commit(next(chunks).seq)
    second = edge.writer(2, STOP, resume_seq=None)
    for chunk in (b"a", b"b", b"c", b"d"):
        second.write(chunk)
    second.end()
    assert [bytes(chunk) for chunk in chunks] == [b"b", b"c", b"d"]
    assert second.figures.chunks == 1
    assert second.seq == 4


def test_a_replay_after_the_end_changes_nothing(edge: Edge) -> None:
    write(edge, 1, [b"a", b"b"])
    write(edge, 2, [b"a", b"b"])
    assert list(edge.reader(1, STOP)) == [b"a", b"b"]


@pytest.mark.parametrize(
    "replay",
    [[b"a", b"B"], [b"ab"], [b"a"], [b"a", b"b", b"c"]],
    ids=["byte", "cut", "less", "more"],
)
def test_a_replay_that_writes_something_else_is_refused(edge: Edge, replay: list[bytes]) -> None:
    write(edge, 1, [b"a", b"b"])
    with pytest.raises(StreamCorrupt):
        write(edge, 2, replay)


def test_a_stateless_writer_goes_on_where_the_commits_have_come_to(edge: Edge) -> None:
    first = edge.writer(1, STOP, resume_seq=None)
    for chunk in (b"a", b"b", b"c"):
        first.write(chunk)
    # Its input was committed up to output 2; output 3 is there all the same.
    write(edge, 2, [b"c", b"d"], resume_seq=2)
    assert list(edge.reader(1, STOP)) == [b"a", b"b", b"c", b"d"]


def test_a_successor_of_everything_committed_knows_the_proof(edge: Edge) -> None:
    first, reader = edge.writer(1, STOP, resume_seq=None), edge.reader(1, STOP)
    first.write(b"a")
    reader.commit(next(iter(reader)).seq)
    write(edge, 2, [b"b"], resume_seq=1)
    assert list(reader) == [b"b"]
    assert edge.figures().bytes == 2


def test_a_writer_cannot_go_on_behind_what_is_there(edge: Edge) -> None:
    with pytest.raises(StreamCorrupt, match="before 3 are missing"):
        edge.writer(2, STOP, resume_seq=3)


def test_a_writer_after_an_error_is_told_of_it(edge: Edge) -> None:
    edge.writer(1, STOP, resume_seq=None).fail("Task.Broken", "no paint")
    with pytest.raises(StreamFailed, match="no paint"):
        write(edge, 2, [b"a"])


def test_a_replaced_writer_is_fenced_before_its_successor_writes(edge: Edge) -> None:
    old = edge.writer(1, STOP, resume_seq=None)
    old.write(b"a")
    new = edge.writer(2, STOP, resume_seq=None)
    with pytest.raises(StreamFenced):
        old.write(b"b")
    with pytest.raises(StreamFenced):
        old.end()
    with pytest.raises(StreamFenced):
        edge.writer(1, STOP, resume_seq=None)
    new.write(b"a")
    new.end()
    assert list(edge.reader(1, STOP)) == [b"a"]


def test_a_replaced_reader_cannot_free_anything(edge: Edge) -> None:
    write(edge, 1, [b"a", b"b"])
    old = edge.reader(1, STOP)
    chunk = next(iter(old))
    new = edge.reader(2, STOP)
    with pytest.raises(StreamFenced):
        old.commit(chunk.seq)
    with pytest.raises(StreamFenced):
        edge.reader(1, STOP)
    assert list(new) == [b"a", b"b"]


def test_a_stateless_reader_goes_on_after_the_last_commit(edge: Edge) -> None:
    write(edge, 1, [b"a", b"b", b"c"])
    assert edge.progress().out_seq is None
    old = edge.reader(1, STOP)
    read = list(islice(old, 2))
    old.commit(read[0].seq, out_seq=5)
    old.flush()
    assert edge.progress().out_seq == 5
    new = edge.reader(2, STOP)
    assert [(bytes(chunk), chunk.seq) for chunk in new] == [(b"b", 2), (b"c", 3)]


def test_a_stateful_reader_sees_all_again(edge: Edge, tmp_path: Path) -> None:
    sent = list(payloads(12))
    writer = edge.writer(1, STOP, resume_seq=None)
    for chunk in sent[:8]:
        writer.write(chunk, {"size": str(len(chunk))})
    for epoch, count in ((1, 3), (2, 7)):
        reader = edge.reader(epoch, STOP, keep=Spool(tmp_path, "input"))
        assert list(islice(reader, count)) == sent[:count]
    # What was kept is no longer in Redis.
    assert edge.progress().read_seq >= 7
    for chunk in sent[8:]:
        writer.write(chunk, {"size": str(len(chunk))})
    writer.end()
    last = edge.reader(3, STOP, keep=Spool(tmp_path, "input"))
    got = list(last)
    assert got == sent
    assert [(c.seq, c.headers["size"]) for c in got] == [
        (n, str(len(chunk))) for n, chunk in enumerate(sent, 1)
    ]
    assert list(Spool(tmp_path, "input").replay()) == sent


def test_a_reader_that_stops_in_its_replay_lets_go_of_the_files(edge: Edge, tmp_path: Path) -> None:
    chunks = [b"a", b"b", b"c"]
    write(edge, 1, chunks)
    first = Spool(tmp_path, "input")
    assert list(edge.reader(1, Stop(), keep=first)) == chunks
    first.close()
    reader = edge.reader(2, Stop(), keep=Spool(tmp_path, "input"))
    assert next(iter(reader)) == b"a"
    assert opened_under(tmp_path) != []
    reader.close()
    assert opened_under(tmp_path) == []


def opened_under(folder: Path) -> list[str]:
    """The files there that this process has open."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            names.append(os.readlink(link))
    return [name for name in names if name.startswith(str(folder))]


def test_a_replaced_stateful_reader_does_not_spoil_the_spool(edge: Edge, tmp_path: Path) -> None:
    sent = [bytes([n]) * 9000 for n in range(10)]
    write(edge, 1, sent)
    old = edge.reader(1, STOP, keep=Spool(tmp_path, "input"))
    list(islice(old, 1))
    new = edge.reader(2, STOP, keep=Spool(tmp_path, "input"))
    assert next(iter(new)) == sent[0]
    # It fetches, keeps, and only then learns that it was replaced.
    with pytest.raises(StreamFenced):
        list(old)
    assert list(new) == sent[1:]
    assert list(edge.reader(3, STOP, keep=Spool(tmp_path, "input"))) == sent


def test_a_reader_that_was_stopped_keeps_nothing(edge: Edge, tmp_path: Path) -> None:
    """It may begin so late that what was kept has been removed already."""
    stop = Stop()
    reader = edge.reader(1, stop, keep=Spool(tmp_path, "input"))
    stop.set("over")
    with pytest.raises(StreamCancelled):
        next(iter(reader))
    assert list(tmp_path.iterdir()) == []


def test_a_torn_record_is_read_from_redis_instead(edge: Edge, tmp_path: Path) -> None:
    sent = [b"a" * 500, b"b" * 500]
    writer = edge.writer(1, STOP, resume_seq=None)
    writer.write(sent[0])
    next(iter(edge.reader(1, STOP, keep=Spool(tmp_path, "input"))))
    file = next((tmp_path / "input").iterdir())
    # As if its process had died while it kept the second.
    file.write_bytes(file.read_bytes() + file.read_bytes()[:300])
    writer.write(sent[1])
    writer.end()
    assert list(edge.reader(2, STOP, keep=Spool(tmp_path, "input"))) == sent
    assert list(edge.reader(3, STOP, keep=Spool(tmp_path, "input"))) == sent


def test_input_that_is_kept_elsewhere_is_lost(edge: Edge, tmp_path: Path) -> None:
    write(edge, 1, [b"a", b"b"])
    list(edge.reader(1, STOP, keep=Spool(tmp_path / "here", "input")))
    with pytest.raises(StreamLost):
        list(edge.reader(2, STOP, keep=Spool(tmp_path / "elsewhere", "input")))


def test_old_spools_are_swept_and_others_not(tmp_path: Path) -> None:
    for name in ("old", "new"):
        Spool(tmp_path, name).begin(1)
    for path in (tmp_path / "old", *(tmp_path / "old").iterdir()):
        os.utime(path, (0, 0))
    sweep(tmp_path, 600)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    Spool(tmp_path, "new").delete()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shared", [False, True], ids=["redis", "shared"])
@pytest.mark.parametrize("victim", ["write", "read"])
def test_a_killed_process_is_replaced_byte_for_byte(
    redis_client: Redis, redis_url: str, tmp_path: Path, victim: str, shared: bool
) -> None:
    count = 1500
    edge = Edge(redis_client, KEY, window_bytes=WINDOW, shared=shared)
    edge.create()
    files = rings(redis_client)
    order = {"write": (count,), "read": (count, tmp_path)}
    ends = {role: EndProcess(role, redis_url, 1, shared, *order[role]) for role in order}
    for epoch in (2, 3):
        seen = edge.progress().read_seq
        wait_until(lambda seen=seen: edge.progress().read_seq > seen + 150, 20)  # type: ignore[misc]
        ends[victim].kill()
        ends[victim] = EndProcess(victim, redis_url, epoch, shared, *order[victim])
    assert ends["read"].result(60) == digest(payloads(count))
    ends["write"].result(10)
    assert edge.progress().outstanding_bytes == 0
    assert files() > 0 or not shared
    edge.delete()
    assert redis_client.keys() == []
    assert files() == 0


def test_redis_may_be_away_for_a_while(tmp_path: Path) -> None:
    with EmbeddedRedis() as server:
        edge = Edge(connect(server.url), KEY, window_bytes=WINDOW)
        edge.create()
        reader = edge.reader(1, STOP)
        sent = list(payloads(400))
        writing = threading.Thread(target=write, args=(edge, 1, sent), daemon=True)
        writing.start()
        got = []
        for chunk in reader:
            got.append(bytes(chunk))
            reader.commit(chunk.seq)
            if chunk.seq == 100:
                server.stop()
                restart = threading.Timer(1.0, server.start)
                restart.start()
        writing.join(10)
        restart.join(10)
    assert got == sent
