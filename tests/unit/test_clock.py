"""The store's clock: what it says, and what a slow answer of Redis does to it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from engine.runtime.clock import StoreClock
from engine.runtime.connecting import connect
from engine.runtime.embedded import EmbeddedRedis

STILL_S = 1.0


def test_it_tells_the_time_of_redis() -> None:
    with EmbeddedRedis() as server, connect(server.url) as redis:
        clock = StoreClock(redis)
        assert clock.behind_s() == 0
        assert clock.now_s() == pytest.approx(time.time(), abs=0.1)
        assert clock.behind_s() == pytest.approx(0, abs=0.1)


def test_an_answer_that_took_long_does_not_shift_it() -> None:
    with EmbeddedRedis() as server, connect(server.url) as redis:
        clock = StoreClock(redis, ask_every_s=0)
        clock.now_s()
        pid = server.pid
        waker = threading.Timer(STILL_S, os.kill, (pid, signal.SIGCONT))
        os.kill(pid, signal.SIGSTOP)
        waker.start()
        begun = time.monotonic()
        assert clock.now_s() == pytest.approx(time.time(), abs=0.1)
        assert time.monotonic() - begun > STILL_S / 2
        waker.join()
