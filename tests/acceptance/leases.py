"""Leases of real workers in bad times: what must not end them, and how soon they end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

from engine.config import Settings
from engine.core.events import EventType
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine, Run
from tests.acceptance.running import history, of_type, start
from tests.processes import WorkerProcess
from tests.waiting import wait_until

LASTING = Path(__file__).with_name("lasting_tasks.py")
TASK = """
- type: task
  name: only
  resourceArn: {task}
  outputMappings: [{{target: attempt, source: $local.attempt}}]
"""


def starts_while_redis_is_away(
    place: Path, away_s: float, env: Mapping[str, str], killed: bool
) -> list[dict[str, object]]:
    """The TaskStarted of a task that ran on one of two workers while Redis was still, or dead."""
    with EmbeddedRedis() as server:
        with _worker(server.url, "prefork", env), _worker(server.url, "prefork", env):
            engine = Engine(server.url, Settings())
            run = _begin(engine, "last", place, away_s + 6)
            pid = server.pid
            os.kill(pid, signal.SIGKILL if killed else signal.SIGSTOP)
            threading.Event().wait(away_s)
            if killed:
                server.start()
            else:
                os.kill(pid, signal.SIGCONT)
            return _starts(engine, run, away_s + 40)


def starts_while_the_interpreter_is_held(
    place: Path, held_s: float, env: Mapping[str, str], pool: str, task: str = "hold_interpreter"
) -> list[dict[str, object]]:
    """The TaskStarted of a task that lets no thread run, beside a worker that would take it."""
    with EmbeddedRedis() as server:
        with _worker(server.url, pool, env):
            engine = Engine(server.url, Settings())
            run = _begin(engine, task, place, held_s)
            with _worker(server.url, "prefork", env):
                return _starts(engine, run, 3 * held_s + 20)


def _worker(url: str, pool: str, env: Mapping[str, str]) -> WorkerProcess:
    return WorkerProcess(url, [LASTING], ["-c", "1", "-P", pool], env)


def _begin(engine: Engine, task: str, place: Path, seconds: float) -> Run:
    run = start(engine, task, TASK.format(task=task), {"place": str(place), "seconds": seconds})
    wait_until((place / "started-1").exists)
    return run


def _starts(engine: Engine, run: Run, timeout_s: float) -> list[dict[str, object]]:
    ended = run.wait(timeout_s)
    assert ended.output == {"attempt": 1}, (ended.error, ended.cause)
    return of_type(history(engine, run), EventType.TASK_STARTED)
