"""A worker process: Celery's own worker with our app, our keeper, and its manners."""

from __future__ import annotations

import logging
import os
import socket
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)

from engine.config import Settings
from engine.runtime.broker import Broker
from engine.runtime.building import make_runtime
from engine.runtime.connecting import quick_answer_s
from engine.runtime.fleet import WorkerInfo
from engine.runtime.heap import keep_heap_small
from engine.runtime.logs import use_format
from engine.runtime.probe import check_relayed_wire, check_wire
from streams.shared import host_token
from tasks import loading, registry
from workers.app import make_worker_app
from workers.keeper import Aside, Keeper
from workers.leaving import Leaving
from workers.relay import attach_relay
from workers.tracing import attach_tracing


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker is started. None: as the settings say."""

    queues: Sequence[str] = ()
    concurrency: int | None = None
    pool: str | None = None
    log_level: str = "warning"


def run_worker(url: str, settings: Settings, options: WorkerOptions) -> None:
    """Runs a worker until it is told to stop. Blocking. Tasks must be registered before.

    Raises:
        WireMismatch: the installed Celery writes its messages in another form than we do.
        BrokerUnavailable: a broker other than Redis refuses us; one that is away is waited for.
        InvalidArgument: traces are wanted, and the extra for them is not installed.
    """
    keep_heap_small()
    app = make_worker_app(url, settings)
    if settings.other_broker(url) is None:
        check_wire(app, url)
    else:
        _check_broker(app)
        attach_relay(app, url, settings)
    slots = options.concurrency or settings.concurrency or os.cpu_count() or 1
    pool = options.pool or settings.pool
    slots = 1 if pool == "solo" else slots
    node = f"penstock-{uuid.uuid4().hex[:8]}@{socket.gethostname()}"
    queues = list(options.queues) or _queues(settings)
    memory = host_token(settings.stream_memory)
    info = WorkerInfo(node, slots, _announced(settings, queues), memory)
    _attach_keeper(url, settings, info, pool)
    attach_tracing(url, settings)
    _attach_logs(settings)
    app.worker_main(
        [
            "worker",
            f"--hostname={node}",
            f"--concurrency={slots}",
            f"--pool={pool}",
            f"--queues={','.join(queues)}",
            f"--loglevel={options.log_level}",
            "--task-events",
            "--without-gossip",
            "--without-mingle",
        ]
    )


def _check_broker(app: Celery) -> None:
    broker = Broker(app)
    broker.wait(lambda why: print(f"penstock: {why}", file=sys.stderr, flush=True))
    check_relayed_wire(app, broker)
    broker.close()  # what is forked from this process must not share it


def _announced(settings: Settings, queues: Sequence[str]) -> dict[str, tuple[str, float | None]]:
    """The tasks whose messages reach this worker: not those of queues that it does not consume."""
    return {
        name: (queue, task.timeout_s)
        for name, task in registry.tasks().items()
        if (queue := task.queue or settings.queue) in queues
    }


def _queues(settings: Settings) -> list[str]:
    names = {settings.queue} | {t.queue for t in registry.tasks().values() if t.queue}
    return sorted(names)


def _attach_keeper(url: str, settings: Settings, info: WorkerInfo, pool: str) -> None:
    """The keeper lives in the parent process, from before the first message to the last."""
    keepers: list[Keeper] = []
    leavings: list[Leaving] = []

    def begin(**_: object) -> None:
        runtime = make_runtime(url, settings, answer_s=quick_answer_s(settings.lease_s))
        aside = None if pool == "prefork" else Aside(info.node)
        keepers.append(Keeper(runtime, info, aside))
        keepers[0].start()

    def ready(sender: Any, **_: object) -> None:
        leavings.append(Leaving(sender, keepers[0], settings.shutdown_grace_s))
        leavings[0].prepare()
        print("ready", file=sys.__stderr__, flush=True)  # Celery has put its logger in our place

    def end(**_: object) -> None:
        for leaving in leavings:
            leaving.finish()
        for keeper in keepers:
            keeper.stop()

    worker_init.connect(begin, weak=False)
    # Each process for itself: what starts threads does not outlive a fork.
    (worker_process_init if pool == "prefork" else worker_init).connect(_warm, weak=False)
    worker_ready.connect(ready, weak=False)
    worker_shutdown.connect(end, weak=False)


def _attach_logs(settings: Settings) -> None:
    """Celery makes the handlers; what they write is ours."""

    def format_lines(logger: logging.Logger, **_: object) -> None:
        use_format(logger, settings.log_format)

    after_setup_logger.connect(format_lines, weak=False)
    after_setup_task_logger.connect(format_lines, weak=False)


def _warm(**_: object) -> None:
    loading.warm()
