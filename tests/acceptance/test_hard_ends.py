"""Ends in bad company: signals to the whole group of a worker, and a Redis that does not answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.running import END_WITHIN_S, fresh_engine, history, start
from tests.processes import WorkerProcess
from tests.waiting import wait_until

LASTING = Path(__file__).with_name("lasting_tasks.py")
LASTS = """
- type: task
  name: lasts
  resourceArn: last
  outputMappings: [{target: attempt, source: $local.attempt}]
"""
LONG_LEASE = {"PENSTOCK_LEASE_S": "60"}
"""With it a task runs elsewhere within a test only if its worker hands it on."""

STOPS_WITHIN_S = 5.0
"""Much less than the grace at which a worker that waits for its tasks would hand them on."""


def _worker(
    url: str, pool: str = "prefork", grace_s: float = 20, env: Mapping[str, str] | None = None
) -> WorkerProcess:
    given = {"PENSTOCK_SHUTDOWN_GRACE_S": str(grace_s)} | dict(env or {})
    return WorkerProcess(url, [LASTING], ["-c", "1", "-P", pool], given)


def test_what_a_signal_to_the_whole_group_kills_runs_elsewhere_at_once(tmp_path: Path) -> None:
    with fresh_engine() as (engine, url), _worker(url, env=LONG_LEASE) as worker:
        run = start(engine, "killed", LASTS, {"place": str(tmp_path)})
        wait_until((tmp_path / "started-1").exists)
        with _worker(url, env=LONG_LEASE):
            os.killpg(worker.pid, signal.SIGTERM)
            wait_until((tmp_path / "started-2").exists, STOPS_WITHIN_S)
            assert worker.wait(STOPS_WITHIN_S) == 0, worker.log
            (tmp_path / "go").touch()
            ended = run.wait(END_WITHIN_S)
        assert ended.output == {"attempt": 2}, ended.cause
        assert ended.report.handovers == 1
        assert len({event.detail.get("worker") for event in history(engine, ended)} - {None}) == 2


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_ends_in_time_though_redis_does_not_answer(tmp_path: Path, pool: str) -> None:
    with fresh_engine() as (engine, url), _worker(url, pool, grace_s=1) as worker:
        run = start(engine, "alone", LASTS, {"place": str(tmp_path), "seconds": 20})
        wait_until((tmp_path / "started-1").exists)
        redis_pid = int(engine.runtime.store.redis.info("server")["process_id"])  # type: ignore[index]
        os.kill(redis_pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            os.kill(worker.pid, signal.SIGTERM)
            assert worker.wait(10) == 0, worker.log
            assert time.monotonic() - begun < 1 + 6
        finally:
            os.kill(redis_pid, signal.SIGCONT)
        (tmp_path / "go").touch()
        with _worker(url):  # its lease ends by itself
            assert run.wait(END_WITHIN_S).output == {"attempt": 2}
