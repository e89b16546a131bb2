"""Queues: how many messages wait, and for how long."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime

MOST_QUEUES = 200
"""So many queues are looked at: flows may name as many as they like."""

SENT_AT = re.compile(r"\.(\d+)$")
"""The end of a lane's message id: when it was sent, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class QueueLength:
    """A queue. `oldest_s`: how long its next message could have been taken; None: not known."""

    queue: str
    ready: int
    oldest_s: float | None


def queue_lengths(runtime: Runtime, claimed_from: Iterable[str]) -> list[QueueLength]:
    """The queues that workers serve, our own, and `claimed_from`. Cost: O(queues)."""
    served = {queue for worker in runtime.fleet.workers() for queue, _ in worker.tasks.values()}
    queues = sorted({runtime.store.keys.queue, *served, *claimed_from})[:MOST_QUEUES]
    if runtime.broker is None:
        return _lists(runtime, queues)
    counts = ((queue, runtime.broker.waiting(queue)) for queue in queues)
    return [QueueLength(queue, count, None) for queue, count in counts if count is not None]


def _lists(runtime: Runtime, queues: list[str]) -> list[QueueLength]:
    """The queues as Celery's Redis transport keeps them: lists whose next message is the last."""
    redis = runtime.store.redis
    with redis.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.llen(queue)
            pipe.lindex(queue, -1)
        found: list[Any] = pipe.execute()
    now_s = runtime.store.clock.now_s()
    pairs = zip(queues, found[::2], found[1::2], strict=True)
    return [
        QueueLength(queue, ready, 0.0 if not head else _age_s(runtime, str(head), now_s))
        for queue, ready, head in pairs
    ]


def _age_s(runtime: Runtime, envelope: str, now_s: float) -> float | None:
    """How long a message could have been taken; None: it does not say, it may be another's."""
    try:
        message = json.loads(envelope)
        _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        at, message_id = Pointer(**kwargs), str(message["headers"]["id"])
        due_ms = _lane_sent_ms(message_id) if at.kind == "lane" else _due_ms(runtime, at)
    except (ValueError, KeyError, TypeError):
        return None
    return None if due_ms is None else max(0.0, now_s - due_ms / 1000)


def _lane_sent_ms(message_id: str) -> float | None:
    sent = SENT_AT.search(message_id)
    return float(sent[1]) if sent else None


def _due_ms(runtime: Runtime, at: Pointer) -> float | None:
    state = runtime.store.state(at.execution_id, at.frame)
    return float(state["due"]) if state and state.get("fence") == at.fence else None
