"""Shared memory: what is put there, what finds no place, and that nothing stays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from streams.edge import Edge
from streams.errors import StreamCancelled, StreamLost
from streams.shared import (
    LEAST_BYTES,
    RingWriter,
    SharedFolder,
    Sharing,
    host_token,
    remove_run,
    sweep,
)
from streams.stop import Stop
from tests.edges import KEY, HeldUpRedis, binary, rings

RING = 64 * 1024
WINDOW = RING // 2
SHARING = Sharing(WINDOW, RING - WINDOW)


@pytest.fixture
def folder(tmp_path: Path) -> SharedFolder:
    return SharedFolder("run", "edge", memory=tmp_path)


def test_a_payload_is_found_by_its_reference(folder: SharedFolder) -> None:
    ring = folder.ring(1, SHARING)
    assert ring is not None
    payload = os.urandom(10_000)
    reference = ring.put(payload, weight=1, freed=0)
    assert reference is not None
    assert folder.rings().find(reference) == payload


def test_what_is_small_or_has_no_place_is_not_taken(folder: SharedFolder) -> None:
    ring = folder.ring(1, SHARING)
    assert ring is not None
    assert ring.put(bytes(LEAST_BYTES - 1), 1, 0) is None
    assert ring.put(bytes(RING + 1), 1, 0) is None
    assert ring.put(bytes(RING), 1, 0) is not None
    assert ring.put(bytes(LEAST_BYTES), 2, 0) is None
    assert ring.put(bytes(LEAST_BYTES), 2, freed=1) is not None


def test_a_payload_that_the_system_does_not_take_goes_another_way() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        ring = RingWriter(full, RING, b"token 1", WINDOW)
        assert ring.put(bytes(LEAST_BYTES), 1, 0) is None


@given(st.lists(st.tuples(st.integers(LEAST_BYTES, RING), st.integers(0, 6)), max_size=60))
def test_a_ring_never_overwrites_what_is_outstanding(moves: list[tuple[int, int]]) -> None:
    folder = SharedFolder("run", f"ring test {os.getpid()}")
    folder.delete()  # of a run before that has failed
    ring = folder.ring(1, SHARING)
    assert ring is not None
    reader = folder.rings()
    held: list[tuple[int, bytes, bytes]] = []
    for n, (size, commits) in enumerate(moves, 1):
        freed = held[commits - 1][0] if 0 < commits <= len(held) else 0
        held = [entry for entry in held if entry[0] > freed]
        payload = bytes([n]) * size
        reference = ring.put(payload, n, freed)
        if reference is not None:
            held.append((n, payload, reference))
        assert all(reader.find(reference) == payload for _, payload, reference in held)
    folder.delete()


@given(
    st.sampled_from((1, 2, 4)),
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 6)), max_size=60),
)
def test_no_payload_larger_than_the_spare_lacks_a_place(
    part: int, moves: list[tuple[int, int]]
) -> None:
    """Whatever the reader frees, and when: what has credit need not go through Redis."""
    folder = SharedFolder("run", f"ring place test {os.getpid()}")
    folder.delete()  # of a run before that has failed
    spare = WINDOW // part
    ring = folder.ring(1, Sharing(WINDOW, spare))
    assert ring is not None
    held: list[tuple[int, int]] = []
    weight = 0
    for share, commits in moves:
        size = LEAST_BYTES + (spare - LEAST_BYTES) * share // 1000
        freed = held[commits - 1][0] if commits <= len(held) else 0
        while held and weight + size - freed > WINDOW and freed < weight:
            freed = next(after for after, _ in held if after > freed)
        held = [entry for entry in held if entry[0] > freed]
        weight += size
        assert ring.put(bytes(size), weight, freed) is not None
        held.append((weight, size))
    folder.delete()


def test_little_more_than_the_window_of_a_ring_is_ever_used(folder: SharedFolder) -> None:
    ring = folder.ring(1, SHARING)
    assert ring is not None
    size = LEAST_BYTES
    begins = []
    for n in range(1, 200):
        reference = ring.put(bytes(size), n * size, freed=(n - WINDOW // size) * size)
        assert reference is not None
        begins.append(int(reference.split()[2]))
    assert max(begins) + size <= WINDOW + size


def test_no_ring_is_made_where_memory_is_short(folder: SharedFolder, tmp_path: Path) -> None:
    assert folder.ring(1, Sharing(1 << 60, 0)) is None
    assert SharedFolder("run", "edge", memory=tmp_path / "none").ring(1, SHARING) is None


def test_a_ring_that_is_there_is_not_written_over(folder: SharedFolder) -> None:
    ring = folder.ring(1, SHARING)
    assert ring is not None
    payload = os.urandom(LEAST_BYTES)
    reference = ring.put(payload, weight=1, freed=0)
    assert reference is not None and folder.ring(1, SHARING) is None
    assert folder.rings().find(reference) == payload


def test_a_folder_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    (tmp_path / f"penstock-{os.getuid()}").mkdir(mode=0o755)
    assert SharedFolder("run", "edge", memory=tmp_path).ring(1, SHARING) is None


def test_a_reference_of_another_memory_is_lost(folder: SharedFolder, tmp_path: Path) -> None:
    ring = folder.ring(1, SHARING)
    assert ring is not None
    reference = ring.put(bytes(LEAST_BYTES), 1, 0)
    assert reference is not None
    token, rest = reference.split(b" ", 1)
    with pytest.raises(StreamLost, match="another host"):
        folder.rings().find(b"0123456789abcdef " + rest)
    folder.delete()
    with pytest.raises(StreamLost, match="no longer"):
        folder.rings().find(reference)
    assert token.decode() == host_token(tmp_path)
    assert host_token(tmp_path / "none") == ""


def test_old_folders_are_swept_and_those_in_use_stay(tmp_path: Path) -> None:
    folders = {name: SharedFolder(name, "edge", memory=tmp_path) for name in ("old", "used")}
    for each in folders.values():
        each.ring(1, SHARING)
    root = tmp_path / f"penstock-{os.getuid()}"
    for path in root.rglob("*"):
        os.utime(path, (0, 0))
    folders["used"].touch()
    sweep(600, tmp_path)
    assert len(list(root.iterdir())) == 1
    remove_run("used", tmp_path)
    assert list(root.iterdir()) == []


def test_payloads_of_a_shared_edge_are_not_in_redis(any_redis: Redis) -> None:
    client = binary(any_redis)
    edge = Edge(client, KEY, window_bytes=300_000, shared=True)
    edge.create()
    files = rings(client)
    writer, reader = edge.writer(1, Stop(), resume_seq=None), edge.reader(1, Stop())
    sent = [os.urandom(size) for size in (100_000, 10, 90_000)]
    for payload in sent:
        writer.write(payload)
    writer.end()
    entries: Any = client.xrange(KEY)
    assert max(len(fields.get(b"d", b"")) for _, fields in entries) < 100
    assert list(reader) == sent
    assert files() == 1
    edge.delete()
    assert files() == 0


def test_a_shared_edge_with_no_room_sends_through_redis(any_redis: Redis) -> None:
    # A chunk larger than the ring of two windows finds no place in it.
    edge = Edge(binary(any_redis), KEY, window_bytes=LEAST_BYTES, shared=True)
    edge.create()
    writer, reader = edge.writer(1, Stop(), resume_seq=None), edge.reader(1, Stop())
    writer.write(bytes(100_000))
    assert bytes(next(iter(reader))) == bytes(100_000)
    edge.delete()


def halves(edge: Edge, count: int) -> tuple[list[bytes], list[bytes]]:
    """Sends so many chunks, each read before the next: what was sent, and what came."""
    writer, reader = edge.writer(1, Stop(), resume_seq=None), edge.reader(1, Stop())
    sent, came = [os.urandom(10_000) for _ in range(count)], []
    chunks = iter(reader)
    for payload in sent:
        writer.write(payload)
        chunk = next(chunks)
        reader.commit(chunk.seq)
        reader.flush()
        came.append(bytes(chunk))
    assert writer.figures.memory == reader.figures.memory
    return sent, came


def test_an_edge_that_may_share_does_so_after_a_window(any_redis: Redis) -> None:
    client = binary(any_redis)
    edge = Edge(client, KEY, window_bytes=50_000, may_share=True)
    edge.create()
    files = rings(client)
    sent, came = halves(edge, 4)
    assert came == sent and files() == 0
    edge.delete()
    edge.create()
    files = rings(client)
    sent, came = halves(edge, 20)
    assert came == sent and files() == 1
    edge.delete()
    assert files() == 0


@pytest.mark.parametrize("seen", ["another memory", "none", "untold"])
def test_an_edge_that_may_share_does_not_with_a_reader_elsewhere(
    any_redis: Redis, tmp_path: Path, seen: str
) -> None:
    client = binary(any_redis)
    memory = tmp_path / "none" if seen == "none" else tmp_path
    here = Edge(client, KEY, window_bytes=20_000, may_share=True)
    there = Edge(client, KEY, window_bytes=20_000, may_share=seen != "untold", memory=memory)
    here.create()
    files = rings(client)
    writer, reader = here.writer(1, Stop(), resume_seq=None), there.reader(1, Stop())
    for n in range(10):
        writer.write(bytes([n]) * 10_000)
        chunk = next(iter(reader))
        reader.commit(chunk.seq)
        reader.flush()
        assert chunk == bytes([n]) * 10_000
    assert files() == 0 and not writer.figures.memory
    here.delete()


def test_memory_that_is_gone_while_its_edge_is_there_is_lost(
    any_redis: Redis, tmp_path: Path
) -> None:
    edge = Edge(binary(any_redis), KEY, window_bytes=50_000, shared=True, memory=tmp_path)
    edge.create()
    writer, reader = edge.writer(1, Stop(), resume_seq=None), edge.reader(1, Stop())
    writer.write(bytes(10_000))
    shutil.rmtree(tmp_path / f"penstock-{os.getuid()}")
    with pytest.raises(StreamLost, match="no longer"):
        next(iter(reader))
    edge.delete()


def test_memory_that_goes_with_its_edge_is_not_lost(redis_client: Redis) -> None:
    """A reader that has the references, and not yet the ring: the next run goes on."""
    place = redis_client.connection_pool.connection_kwargs
    client = HeldUpRedis(**{name: place[name] for name in ("host", "port", "password", "db")})
    edge = Edge(client, KEY, window_bytes=50_000, shared=True)
    edge.create()
    writer, reader = edge.writer(1, Stop(), resume_seq=None), edge.reader(1, Stop())
    writer.write(bytes(10_000))
    client.meanwhile = edge.delete
    with pytest.raises(StreamCancelled, match="gone"):
        next(iter(reader))
    assert client.meanwhile is None


@pytest.mark.parametrize("stopped", [False, True])
def test_a_ring_that_is_made_after_its_edge_has_gone_goes_too(
    any_redis: Redis, stopped: bool
) -> None:
    client = binary(any_redis)
    edge = Edge(client, KEY, window_bytes=50_000, shared=True)
    edge.create()
    files, stop = rings(client), Stop()
    writer = edge.writer(1, stop, resume_seq=None)
    edge.delete()
    if stopped:
        stop.set("over")
    with pytest.raises(StreamCancelled):
        writer.write(bytes(10_000))
    assert files() == 0


def test_a_first_chunk_larger_than_the_window_does_not_keep_an_edge_from_sharing(
    any_redis: Redis,
) -> None:
    edge = Edge(binary(any_redis), KEY, window_bytes=20_000, may_share=True)
    edge.create()
    writer = edge.writer(1, Stop(), resume_seq=None)
    writer.write(bytes(30_000))
    reader = edge.reader(1, Stop())
    for size in (30_000, 10_000, 10_000):
        if size < 30_000:
            writer.write(bytes(size))
        chunk = next(iter(reader))
        reader.commit(chunk.seq)
        reader.flush()
        assert chunk == bytes(size)
    assert writer.figures.memory
    edge.delete()


def test_a_folder_in_the_way_keeps_nobody_from_sending(any_redis: Redis, tmp_path: Path) -> None:
    (tmp_path / f"penstock-{os.getuid()}").touch()
    edge = Edge(
        binary(any_redis), KEY, window_bytes=20_000, shared=True, may_share=True, memory=tmp_path
    )
    edge.create()
    writer, reader = edge.writer(1, Stop(), resume_seq=None), edge.reader(1, Stop())
    writer.write(bytes(10_000))
    assert next(iter(reader)) == bytes(10_000)
    edge.delete()
