"""The process `penstock worker` (also `python -m workers`): options, tasks, then the worker."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from enum import StrEnum
from typing import Annotated

import typer
from celery.exceptions import SecurityWarning

from engine.config import Settings, load_settings
from engine.errors import InvalidArgument, StoreUnavailable
from engine.runtime.connecting import connect
from engine.runtime.health import storage_warnings
from engine.runtime.processes import run_process
from tasks import TaskLoadError, load_tasks, shipped
from workers.main import WorkerOptions, run_worker

WARM_S = 5.0
"""How long running tasks may take to end once the owner is gone."""
COLD_S = 3.0


class Pool(StrEnum):
    """How the slots run."""

    PREFORK = "prefork"
    THREADS = "threads"
    SOLO = "solo"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def main() -> int:
    """Runs a worker until it is told to stop; the exit code: 2 bad options, 3 no usable Redis."""
    return run_process(worker, "penstock worker")


def worker(
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="MODULE|FILE.py", help="More tasks to serve.")
    ] = None,
    queues: Annotated[
        list[str] | None,
        typer.Option("--queues", "-Q", metavar="NAME,...", help="Queues; else those of its tasks."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, help="Slots; else one per CPU.")
    ] = None,
    pool: Annotated[Pool | None, typer.Option("--pool", "-P", help="How the slots run.")] = None,
    log_level: Annotated[
        LogLevel | None, typer.Option(help="The least severe line to write.")
    ] = None,
    while_stdin: Annotated[
        bool, typer.Option("--while-stdin", help="End when stdin closes.", hidden=True)
    ] = False,
) -> None:
    """Run the steps of flows. Writes `ready` to stderr once it does; Ctrl-C ends it in order."""
    if while_stdin:
        warnings.filterwarnings("ignore", category=SecurityWarning)
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    settings = load_settings()
    url = _redis_of(settings)
    _register(tasks or [])
    options = WorkerOptions(
        queues=[name for text in queues or [] for name in text.split(",") if name],
        concurrency=concurrency,
        pool=pool.value if pool else None,
        log_level=log_level.value if log_level else settings.log_level,
    )
    run_worker(url, settings, options)


def _redis_of(settings: Settings) -> str:
    if settings.redis_url is None:
        raise StoreUnavailable("no Redis: a worker needs PENSTOCK_REDIS_URL")
    url = settings.redis_url.get_secret_value()
    with connect(url) as client:
        for warning in storage_warnings(client):
            print(f"penstock: warning: {warning}", file=sys.stderr)
    return url


def _register(sources: list[str]) -> None:
    shipped()
    for source in sources:
        try:
            load_tasks(source)
        except TaskLoadError as error:
            raise InvalidArgument(f"--tasks {error}") from error


def _end_with_stdin() -> None:
    """Ends this worker when its owner is gone, who holds the other end of stdin, however it went.

    The owner made this process the leader of a group: what does not end by itself is killed.
    """
    while os.read(0, 1024):
        pass
    gone = threading.Event()
    os.kill(os.getpid(), signal.SIGTERM)
    gone.wait(WARM_S)
    os.kill(os.getpid(), signal.SIGQUIT)
    gone.wait(COLD_S)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
