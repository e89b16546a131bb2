"""Streams in shared memory: between processes of one host, and through Redis wherever not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.errors import ExecutionFailed
from engine.runtime.engine import Engine
from engine.runtime.streaming import WINDOW_BYTES
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
LONG = 4 * WINDOW_BYTES
LITTLE = 1_000_000
CUT = {"size": 200_000}
PASS = stream_step("cut")
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
        sent = sent_to(redis)
        assert ways(made, "near") == ("memory", ["memory", "memory", "redis"])
        assert sent() < 2 * COUNT * SIZE, "the caller's edge alone, and what is said of the others"


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


def test_a_caller_on_the_same_host_sends_and_reads_through_memory(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made, Redis.from_url(made.url) as redis:
        sent = sent_to(redis)
        assert passed(made, "near") == ["memory", "memory"]
        assert sent() < 2 * WINDOW_BYTES + LITTLE, "a window each way, and what is said"
        made.assert_nothing_left()
        made.assert_nothing_held()


def test_a_short_stream_of_a_caller_needs_no_memory(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made:
        assert passed(made, "short", WINDOW_BYTES // 2) == ["redis", "redis"]
        made.assert_nothing_left()


def test_a_caller_elsewhere_goes_through_redis(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made:
        other = tmp_path / "other"
        other.mkdir()
        settings = Settings(stream_memory=other)
        far = replace(made, engine=Engine(made.url, settings))
        assert passed(far, "far") == ["redis", "redis"]
        made.assert_nothing_left()


def test_with_a_worker_elsewhere_a_caller_sends_through_redis(tmp_path: Path) -> None:
    """That worker may have to go on with what was sent. Where its output is read it is known."""
    with stack(tmp_path, [1]) as made, elsewhere(made, tmp_path, ["-Q", "aside"]):
        assert passed(made, "both") == ["redis", "memory"]
        made.assert_nothing_left()


def test_with_a_spool_for_other_hosts_a_caller_sends_through_redis(tmp_path: Path) -> None:
    """Whoever goes on there must find what was sent."""
    with stack(tmp_path, [1], {"PENSTOCK_STREAM_SPOOL": str(tmp_path / "spool")}) as made:
        assert passed(made, "spooled") == ["redis", "memory"]


def test_what_a_folder_of_somebody_else_is_in_the_way_of_goes_through_redis(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made:
        (made.memory / f"penstock-{os.getuid()}").touch()
        assert passed(made, "barred") == ["redis", "redis"]


def test_what_a_killed_worker_has_written_is_whole_in_memory(tmp_path: Path) -> None:
    with stack(tmp_path, [1], {"PENSTOCK_LEASE_S": "2"}) as made:
        data = os.urandom(LONG)
        streamed = made.stream("killed", PASS, CUT, data)
        came, killed = bytearray(), list[int]()
        for part in streamed:
            came += part
            if len(came) > LONG // 2 and not killed:
                killed += made.traced("cut")
                assert len(made.rings()) == 2, "of what is sent, and of what is read"
                os.kill(killed[0], signal.SIGKILL)
        assert bytes(came) == data
        assert len(made.traced("cut")) == 2
        made.assert_nothing_left()


def test_by_what_the_chunks_of_a_failed_attempt_went_nobody_tells(tmp_path: Path) -> None:
    with stack(tmp_path, [1]) as made:
        steps = stream_step("cut", "fail")
        streamed = made.stream("broken", steps, CUT | {"after": 50, "times": 1}, os.urandom(LONG))
        with pytest.raises(ExecutionFailed, match=r"Test\.Broken"):
            read(streamed)
        (told,) = closed(made, streamed)
        assert told["aborted"] and [edge["via"] for edge in told["edges"]] == [None] * 3
        made.assert_nothing_left()
        made.assert_nothing_held()


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


def sent_to(redis: Redis) -> Callable[[], int]:
    """What counts the bytes that a server is sent from now on."""

    def total() -> int:
        stats: Any = redis.info("stats")
        return int(stats["total_net_input_bytes"])

    before = total()
    return lambda: total() - before


def passed(made: Stack, name: str, size: int = LONG) -> list[Any]:
    """Sends bytes through a stage that changes nothing; by what they went on each edge."""
    data = os.urandom(size)
    streamed = made.stream(name, PASS, CUT, data)
    assert read(streamed) == data
    return [edge["via"] for edge in closed(made, streamed)[0]["edges"]]


def elsewhere(made: Stack, place: Path, options: Sequence[str] = ()) -> WorkerProcess:
    """A worker that sees another memory than the others, as one on another host does."""
    memory = place / "other"
    memory.mkdir()
    env = made.env | {"PENSTOCK_STREAM_MEMORY": str(memory)}
    return WorkerProcess(made.url, [TASKS], ["-c", "1", *options], env)
