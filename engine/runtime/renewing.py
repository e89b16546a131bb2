"""Renewing: the leases of what a worker's slots are at are kept; `main` does it beside a worker.

A task that never lets go of the interpreter stops all threads of its process. Where tasks run in
the process that renews, a second one renews what it was told last, for as long as the first lives.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from redis import Redis

from engine.config import Settings, load_settings
from engine.errors import StoreUnavailable
from engine.runtime.connecting import connect, quick_answer_s
from engine.runtime.keys import HELD_S, Keys
from engine.runtime.scripts import STORE_ERRORS, Scripts
from engine.runtime.standing import new_id

SILENT_S = 600.0
"""How long leases are kept for a worker that lives and says nothing: it may hang for good."""

_BYTES_AT_ONCE = 65_536


class Leases:
    """The leases of one worker, `node`; each lasts `lease_s` from its last renewal."""

    def __init__(self, redis: Redis, keys: Keys, node: str, lease_s: float) -> None:
        self._scripts = Scripts(redis)
        self._keys = [keys.lease, keys.held(node)]
        self._lease_s = lease_s

    def renew(self, requests: Sequence[str]) -> int:
        """Keeps those of these messages (Celery ids); how many. Atomic, idempotent."""
        order = {
            "call": new_id(),
            "requests": list(requests),
            "lease_ms": round(self._lease_s * 1000),
            "ttl_ms": round(HELD_S * 1000),
        }
        return int(self._scripts.raw("renew", self._keys, order))


def main(node: str) -> None:
    """Renews for the worker `node` until it lets go of the other end of stdin.

    Each line there is a list of the Celery ids of the messages that its slots are at.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # it goes on for as long as its worker does
    settings = load_settings()
    leases: Leases | None = None
    requests: list[str] = []
    begun: bytes | None = b""
    heard_at = time.monotonic()
    worker = os.getppid()
    while begun is not None and os.getppid() == worker:  # what a task forks has the pipe as well
        if requests and time.monotonic() - heard_at < SILENT_S:
            with suppress(*STORE_ERRORS, StoreUnavailable):  # its worker says that Redis is away
                leases = leases or _leases(node, settings)
                leases.renew(requests)
        if select.select([0], [], [], settings.sweep_every_s)[0]:
            lines, begun = _read(begun)
            requests = json.loads(lines[-1]) if lines else requests
            heard_at = time.monotonic()


def _leases(node: str, settings: Settings) -> Leases:
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    redis = connect(url, answer_s=quick_answer_s(settings.lease_s))
    return Leases(redis, Keys(settings.key_prefix, settings.queue), node, settings.lease_s)


def _read(begun: bytes) -> tuple[list[bytes], bytes | None]:
    """Whole lines of stdin, and what has begun of the next; None: nobody writes any more."""
    more = os.read(0, _BYTES_AT_ONCE)
    *lines, rest = (begun + more).split(b"\n")
    return lines, rest if more else None


if __name__ == "__main__":
    main(*sys.argv[1:])
