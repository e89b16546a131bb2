"""A Celery app that knows nothing of the engine: what the engine is compared with."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

REDIS_URL_VARIABLE = "PENSTOCK_REDIS_URL"
QUEUE = "plain"


def make_plain_app(url: str) -> Celery:
    """The app, with the settings that the engine's own messages have."""
    made = Celery("plain", broker=url, backend=url, set_as_current=False)
    made.conf.update(
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        task_acks_late=True,
        broker_connection_retry_on_startup=True,
    )
    made.task(name="plain.noop")(noop)
    made.task(name="plain.total")(total)
    return made


def noop(given: Any = None) -> dict[str, Any]:
    return {}


def total(results: list[Any]) -> int:
    return len(results)


# Celery's command line finds it by this name.
app = make_plain_app(os.environ.get(REDIS_URL_VARIABLE, "redis://"))
