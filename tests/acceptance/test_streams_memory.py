"""Streams in shared memory: between processes of one host, and through Redis wherever not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from engine.errors import ExecutionFailed
from tests.acceptance.streaming import (
    TASKS,
    Stack,
    closed,
    expected,
    opened,
    read,
    stack,
    stream_step,
)
from tests.processes import WorkerProcess

COUNT, SIZE = 40, 100_000
CALL = {"count": COUNT, "size": SIZE}
SPREAD = stream_step("give", "mix", "chain", more="fuse: false")


def ways(made: Stack, name: str) -> tuple[Any, list[Any]]:
    """Runs a stream of three processes; by what its chunks went, as its history says."""
    streamed = made.stream(name, SPREAD, CALL)
    assert read(streamed) == expected(COUNT, SIZE)
    (told,) = closed(made, streamed)
    made.assert_nothing_left()
    return opened(made, streamed)[0]["via"], [edge["via"] for edge in told["edges"]]


def test_chunks_of_one_host_go_through_its_memory_and_not_through_redis(tmp_path: Path) -> None:
    with stack(tmp_path, [3]) as made, Redis.from_url(made.url) as redis:
        before = redis.info("stats")["total_net_input_bytes"]
        assert ways(made, "near") == ("memory", ["memory", "memory", "redis"])
        sent = redis.info("stats")["total_net_input_bytes"] - before
        assert sent < 2 * COUNT * SIZE, "the caller's edge alone, and what is said of the others"


def test_without_shared_memory_chunks_go_through_redis(tmp_path: Path) -> None:
    none = {"PENSTOCK_STREAM_MEMORY": str(tmp_path / "none")}
    with stack(tmp_path, [3], none) as made:
        assert ways(made, "none") == ("redis", ["redis"] * 3)


def test_with_a_worker_elsewhere_chunks_go_through_redis(tmp_path: Path) -> None:
    """Whoever may have to go on with a part must see what was written for it."""
    with stack(tmp_path, [3]) as made:
        with elsewhere(made, tmp_path):
            assert ways(made, "far")[0] == "redis"
        assert ways(made, "near")[0] == "memory"


def test_one_process_needs_neither(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made:
        streamed = made.stream("alone", SPREAD, CALL)
        assert read(streamed) == expected(COUNT, SIZE)
        assert opened(made, streamed)[0]["via"] is None
        assert [edge["via"] for edge in closed(made, streamed)[0]["edges"]] == [None, None, "redis"]


def test_a_chunk_that_redis_does_not_take_is_refused_at_once(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made, Redis.from_url(made.url) as redis:
        redis.config_set("proto-max-bulk-len", 1024 * 1024)
        streamed = made.stream("wide", stream_step("give"), {"count": 1, "size": 2 * 1024 * 1024})
        with pytest.raises(ExecutionFailed) as failed:
            read(streamed)
        assert failed.value.error == "ChunkTooLarge"
        assert "give: a chunk has 2097152 bytes and Redis takes 1048576" in failed.value.cause
        made.assert_nothing_left()


def elsewhere(made: Stack, place: Path) -> WorkerProcess:
    """A worker that sees another memory than the others, as one on another host does."""
    memory = place / "other"
    memory.mkdir()
    env = made.env | {"PENSTOCK_STREAM_MEMORY": str(memory)}
    return WorkerProcess(made.url, [TASKS], ["-c", "1"], env)
