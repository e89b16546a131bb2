"""Shared memory: what is put there, what finds no place, and that nothing stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from streams.edge import Edge
from streams.errors import StreamLost
from streams.shared import LEAST_BYTES, SharedFolder, host_token, remove_run, sweep
from streams.stop import Stop
from tests.edges import KEY, binary, rings

RING = 64 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> SharedFolder:
    return SharedFolder("run", "edge", memory=tmp_path)


def test_a_payload_is_found_by_its_reference(folder: SharedFolder) -> None:
    ring = folder.ring(1, RING)
    assert ring is not None
    payload = os.urandom(10_000)
    reference = ring.put(payload, weight=1, freed=0)
    assert reference is not None
    assert folder.rings().find(reference) == payload


def test_what_is_small_or_has_no_place_is_not_taken(folder: SharedFolder) -> None:
    ring = folder.ring(1, RING)
    assert ring is not None
    assert ring.put(bytes(LEAST_BYTES - 1), 1, 0) is None
    assert ring.put(bytes(RING + 1), 1, 0) is None
    assert ring.put(bytes(RING), 1, 0) is not None
    assert ring.put(bytes(LEAST_BYTES), 2, 0) is None
    assert ring.put(bytes(LEAST_BYTES), 2, freed=1) is not None


@given(st.lists(st.tuples(st.integers(LEAST_BYTES, RING), st.integers(0, 6)), max_size=60))
def test_a_ring_never_overwrites_what_is_outstanding(moves: list[tuple[int, int]]) -> None:
    folder = SharedFolder("run", f"ring test {os.getpid()}")
    folder.delete()  # of a run before that has failed
    ring = folder.ring(1, RING)
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


def test_no_ring_is_made_where_memory_is_short(folder: SharedFolder, tmp_path: Path) -> None:
    assert folder.ring(1, 1 << 60) is None
    assert SharedFolder("run", "edge", memory=tmp_path / "none").ring(1, RING) is None


def test_a_ring_that_is_there_is_not_written_over(folder: SharedFolder) -> None:
    ring = folder.ring(1, RING)
    assert ring is not None
    payload = os.urandom(LEAST_BYTES)
    reference = ring.put(payload, weight=1, freed=0)
    assert reference is not None and folder.ring(1, RING) is None
    assert folder.rings().find(reference) == payload


def test_a_folder_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    (tmp_path / f"penstock-{os.getuid()}").mkdir(mode=0o755)
    assert SharedFolder("run", "edge", memory=tmp_path).ring(1, RING) is None


def test_a_reference_of_another_memory_is_lost(folder: SharedFolder, tmp_path: Path) -> None:
    ring = folder.ring(1, RING)
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
        each.ring(1, RING)
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
