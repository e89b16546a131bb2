"""The keeper: the thread in a worker's parent process that announces, renews leases and sweeps."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from celery.worker import state as worker_state

from engine.runtime.fleet import WorkerInfo
from engine.runtime.renewing import Leases
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS
from engine.runtime.sweeping import Sweeper

log = logging.getLogger("penstock.worker")

TRIM_EVERY = 60
"""Sweeps between two looks at the index of executions."""

STOP_S = 2.0

_keeper: Keeper | None = None


class Keeper:
    """Keeps one worker's promises while its pool is busy.

    `aside`: renews for this worker when its tasks keep this thread from running; None: they cannot.
    """

    def __init__(self, runtime: Runtime, info: WorkerInfo, aside: Aside | None = None) -> None:
        settings = runtime.store.settings
        self.runtime = runtime
        self.info = info
        self.sweeper = Sweeper(runtime)
        self._leases = Leases(runtime.store.redis, runtime.store.keys, info.node, settings.lease_s)
        self._aside = aside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-keeper", daemon=True)

    def start(self) -> None:
        """Announces the worker, then keeps at it."""
        global _keeper
        _keeper = self
        self.runtime.store.clock.now_s()
        self.runtime.fleet.announce(self.info)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the announcement back. Idempotent."""
        self._stop.set()
        self._thread.join(timeout=STOP_S)
        if self._aside is not None:
            self._aside.stop()
        with suppress(*STORE_ERRORS):  # Redis is away: what it holds of us expires
            self.runtime.fleet.leave(self.info.node)

    def hand_on(self, requests: list[str]) -> None:
        """Has other workers do what these messages (Celery ids) are at, as if this one had died."""
        for request in requests:
            self.sweeper.lost(self.info.node, request)

    def forget(self, request: str) -> None:
        """Lets go of a message whose step the store has taken from us."""
        self.runtime.store.redis.hdel(self.runtime.store.keys.held(self.info.node), request)

    def tell(self) -> list[str]:
        """Says what the slots are at to the process aside, if there is one."""
        requests = active()
        if self._aside is not None:
            self._aside.tell(requests)
        return requests

    def _run(self) -> None:
        settings = self.runtime.store.settings
        beats = 0
        while not self._stop.wait(settings.sweep_every_s):
            try:
                self._renew()
                self.runtime.store.clock.now_s()  # asked where it may take its time
                if beats % 4 == 0:
                    self.runtime.fleet.announce(self.info)
                self.sweeper.sweep(patient=True, meanwhile=self._renew)
                if beats % TRIM_EVERY == 0:
                    self.sweeper.trim()
            except STORE_ERRORS as error:
                log.warning("redis is away: %s", error)
            beats += 1

    def _renew(self) -> None:
        self._leases.renew(self.tell())


class Aside:
    """A process beside this one that renews its leases (`engine.runtime.renewing`).

    It has this process's environment, so the same settings, and ends when this process does.
    """

    def __init__(self, node: str) -> None:
        command = [sys.executable, "-m", "engine.runtime.renewing", node]
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=root)
        self._lock = threading.Lock()

    def tell(self, requests: list[str]) -> None:
        """Says what the slots are at."""
        assert self._process.stdin is not None
        with self._lock, suppress(BrokenPipeError, ValueError):  # it has ended, or is to
            self._process.stdin.write(json.dumps(requests).encode() + b"\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """Ends it. Idempotent."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()


def ahead_s() -> float:
    """How far this machine's clock is ahead of the store's, as far as is known. Never blocks."""
    return 0.0 if _keeper is None else _keeper.runtime.store.clock.behind_s()


def begun() -> None:
    """Called before a task begins; from then on it may keep all our threads from running."""
    if _keeper is not None:
        _keeper.tell()


def lost(request_id: str) -> None:
    """Hands on what a pool process was at when it died; if Redis is away its lease will end."""
    if _keeper is not None:
        with suppress(*STORE_ERRORS):
            _keeper.hand_on([request_id])


def killed(request_id: str) -> None:
    """Says that a pool process was killed at its time limit: the engine knows of the time-out."""
    if _keeper is not None:
        with suppress(*STORE_ERRORS):
            _keeper.forget(request_id)


def active() -> list[str]:
    """Celery ids of the messages that the slots are at."""
    for _ in range(10):
        try:
            return [request.id for request in worker_state.active_requests]
        except RuntimeError:  # the main thread has changed the set meanwhile
            continue
    return []
