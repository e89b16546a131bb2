"""Signals: a worker ends on the first one, whatever comes while it is handled."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.processes import WorkerProcess

TASKS = Path(__file__).with_name("signalled_tasks.py")


def test_a_worker_ends_though_a_signal_comes_while_another_is_handled(redis_url: str) -> None:
    with WorkerProcess(redis_url, [TASKS], ["-c", "1"]) as worker:
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(15) == 0
        assert "ending: running tasks have" in worker.log
