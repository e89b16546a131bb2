"""The stage: one Redis, one worker of ours and one plain Celery worker, with two slots each."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from celery import Celery

from engine.config import Settings
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.views import Execution
from tests.bench.plain_fleet import QUEUE, REDIS_URL_VARIABLE, make_plain_app
from tests.processes import WorkerProcess
from tests.waiting import wait_until

SLOTS = 2
ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
STOP_S = 20.0


class PlainWorker:
    """`celery worker` on the plain app, with its log in a file."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._log = tempfile.NamedTemporaryFile(prefix="plain-", suffix=".log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PlainWorker:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tests.bench.plain_fleet", "worker"]
            + ["-c", str(SLOTS), "-Q", QUEUE, "-l", "info"],
            env=os.environ | {REDIS_URL_VARIABLE: self._url},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            cwd=ROOT,
        )
        wait_until(self._is_ready, READY_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        log = Path(self._log.name).read_text(errors="replace")
        assert self._process.poll() is None, f"the plain worker ended: {log}"
        return " ready." in log


class Stage:
    """What a benchmark runs on. `redis` is for looking, `plain` sends to the plain worker."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.redis: Any  # redis-py types every answer as one to be awaited, too
        self.engine: Engine
        self.plain: Celery

    def __enter__(self) -> Stage:
        server = self._open.enter_context(EmbeddedRedis())
        tasks = [Path(__file__).with_name("trivial_tasks.py")]
        self._open.enter_context(WorkerProcess(server.url, tasks, ["-c", str(SLOTS)]))
        self._open.enter_context(PlainWorker(server.url))
        self.redis = self._open.enter_context(
            redis.Redis.from_url(server.url, decode_responses=True)
        )
        self.engine = Engine(server.url, Settings())
        self.plain = make_plain_app(server.url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Celery's results are in cycles; those that outlive the server try to reach it.
        gc.collect()
        self._open.close()

    def deploy(self, name: str, steps: str) -> None:
        """Deploys a flow with these steps (YAML of the list)."""
        self.engine.create_flow(name, f"version: v1\ntype: flow\nsteps:\n{steps}")

    def run(self, flow: str, given: dict[str, Any], timeout_s: float) -> Execution:
        """Runs an execution to its good end."""
        ended = self.engine.start_execution(flow, given).wait(timeout_s)
        assert ended.status == "Succeeded", f"{flow}: {ended.status} {ended.error} {ended.cause}"
        return ended
