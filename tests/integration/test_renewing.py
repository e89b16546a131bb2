"""Renewing: the process beside a worker keeps leases, also if Redis is away when it begins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.keys import Keys
from tests.waiting import wait_until

NODE = "penstock-1@here"
KEYS = Keys("penstock", "penstock")
ENTRY = "flow:execution||fence"


@contextmanager
def _renewing(url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "engine.runtime.renewing", NODE]
    env = os.environ | {"PENSTOCK_REDIS_URL": url, "PENSTOCK_LEASE_S": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=env) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == 0


def _tell(process: subprocess.Popen[bytes], *requests: str) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(requests).encode() + b"\n")
    process.stdin.flush()


def _take(redis: Redis) -> None:
    redis.hset(KEYS.held(NODE), "request", ENTRY)
    redis.zadd(KEYS.lease, {ENTRY: 0})


def _left_s(redis: Redis) -> float:
    return float(redis.zscore(KEYS.lease, ENTRY) or 0) / 1000 - time.time()  # type: ignore[arg-type]


def test_it_keeps_what_it_is_told_and_lets_go_of_the_rest() -> None:
    with EmbeddedRedis() as server, Redis.from_url(server.url) as redis:
        _take(redis)
        with _renewing(server.url) as process:
            _tell(process, "request")
            wait_until(lambda: _left_s(redis) > 0.5)
            _tell(process)
            wait_until(lambda: _left_s(redis) < -0.5)


def test_a_redis_that_is_away_when_it_begins_is_waited_for() -> None:
    with EmbeddedRedis() as server, Redis.from_url(server.url) as redis:
        _take(redis)
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        with _renewing(server.url) as process:
            _tell(process, "request")
            begun = time.monotonic()
            wait_until(lambda: process.poll() is not None or time.monotonic() - begun > 2)
            assert process.poll() is None
            server.start()
            _take(redis)
            wait_until(lambda: _left_s(redis) > 0.5)


def test_signals_to_its_group_do_not_end_it() -> None:
    with EmbeddedRedis() as server, Redis.from_url(server.url) as redis:
        _take(redis)
        with _renewing(server.url) as process:
            _tell(process, "request")
            wait_until(lambda: _left_s(redis) > 0.5)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
                process.send_signal(number)
            redis.zadd(KEYS.lease, {ENTRY: 0})
            wait_until(lambda: _left_s(redis) > 0.5)
