"""The keeper: the thread in a worker's parent process that announces, renews leases and sweeps."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from celery.worker import state as worker_state

from engine.runtime.fleet import WorkerInfo
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS
from engine.runtime.sweeping import Sweeper, renew

log = logging.getLogger("penstock.worker")

GAP_S = 2.0
"""A round that ends so much later than it should says that Redis, or this machine, was away."""

TRIM_EVERY = 60
"""Sweeps between two looks at the index of executions."""

_keeper: Keeper | None = None


class Keeper:
    """Keeps one worker's promises while its pool is busy."""

    def __init__(self, runtime: Runtime, info: WorkerInfo) -> None:
        self.runtime = runtime
        self.info = info
        self.sweeper = Sweeper(runtime)
        self._stop = threading.Event()
        self._calm_until = float("-inf")
        self._thread = threading.Thread(target=self._run, name="penstock-keeper", daemon=True)

    def start(self) -> None:
        """Announces the worker, then keeps at it."""
        global _keeper
        _keeper = self
        self.runtime.fleet.announce(self.info)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the announcement back."""
        self._stop.set()
        self._thread.join(timeout=2)
        self.runtime.fleet.leave(self.info.node)

    def _run(self) -> None:
        settings = self.runtime.store.settings
        beats = 0
        seen_at = time.monotonic()
        while not self._stop.wait(settings.sweep_every_s):
            if time.monotonic() - seen_at > settings.sweep_every_s + GAP_S:
                # The others may have been away from Redis as well: let them renew their leases.
                self._calm_until = time.monotonic() + settings.lease_s / 2
            try:
                self._renew()
                if beats % 4 == 0:
                    self.runtime.fleet.announce(self.info)
                self.sweeper.sweep(time.monotonic() >= self._calm_until, self._renew)
                if beats % TRIM_EVERY == 0:
                    self.sweeper.trim()
                seen_at = time.monotonic()
            except STORE_ERRORS as error:
                log.warning("redis is away: %s", error)
            beats += 1

    def _renew(self) -> None:
        renew(self.runtime, self.info.node, _active())


def lost(request_id: str) -> None:
    """Hands on what a pool process was at when it died; if Redis is away its lease will end."""
    if _keeper is not None:
        with suppress(*STORE_ERRORS):
            _keeper.sweeper.lost(_keeper.info.node, request_id)


def _active() -> list[str]:
    """Celery ids of the messages that the slots are at."""
    for _ in range(10):
        try:
            return [request.id for request in worker_state.active_requests]
        except RuntimeError:  # the main thread has changed the set meanwhile
            continue
    return []
