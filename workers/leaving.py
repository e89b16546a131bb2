"""Leaving: a worker that is told to end lets its tasks end, for a while, and hands on the others.

Celery's own ends are not bounded (warm: it waits for its tasks, however long), or not for pools of
threads (soft, cold). So the first signal is Celery's warm end, which takes no more messages and
waits; here is who ends the waiting.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

from celery.worker import state as worker_state

from engine.runtime.scripts import STORE_ERRORS
from workers import waking
from workers.consumer import StepConsumer
from workers.keeper import Keeper, active

log = logging.getLogger("penstock.worker")

DRAINING = (signal.SIGTERM, signal.SIGINT)
"""These let tasks end, when they come for the first time."""

STOP_S = 1.5
"""How long its loop may take to stop taking messages; it cannot while it runs a task itself."""

HAND_ON_S = 3.0
"""How long the last words may take, if Redis does not answer."""

EXIT_S = 3.0
"""How long Python may take to end after all tasks: it waits for threads that they have left."""


class Leaving:
    """Sees to a worker's end, from the first signal on."""

    def __init__(self, consumer: StepConsumer, keeper: Keeper, grace_s: float) -> None:
        self._consumer = consumer
        self._keeper = keeper
        self._grace_s = grace_s
        self._pid = os.getpid()
        # A signal may come while another one is handled: put takes no lock that it would wait for.
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="penstock-leaving", daemon=True)

    def prepare(self) -> None:
        """Listens to the signals from now on, in Celery's place."""
        self._thread.start()
        for number in (*DRAINING, signal.SIGQUIT):
            signal.signal(number, self._on_signal)

    def finish(self) -> None:
        """Called when Celery has ended all tasks; does not return if they are being handed on."""
        self._ending.acquire()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a process of the pool that was made after us
            return
        worker_state.should_stop = os.EX_OK  # type: ignore[assignment]  # stubs: None alone
        self._signals.put(number)

    def _run(self) -> None:
        first = self._signals.get()
        waking.wake()
        log.warning("ending: running tasks have %s s", self._grace_s)
        if first not in DRAINING or self._hears_another():
            self._consumer.stopped.wait(STOP_S)
        if self._ending.acquire(timeout=EXIT_S):
            within(HAND_ON_S, self._hand_on)
            within(HAND_ON_S, self._keeper.stop)
        for stream in (sys.__stdout__, sys.__stderr__):
            with suppress(OSError, ValueError):
                stream.flush()  # type: ignore[union-attr]
        os._exit(os.EX_OK)

    def _hears_another(self) -> bool:
        """Waits as long as tasks have; True at once when a second signal comes."""
        with suppress(Empty):
            self._signals.get(timeout=self._grace_s)
            return True
        return False

    def _hand_on(self) -> None:
        """Gives what has not ended to others. A task that goes on here has its result refused."""
        requests = active()
        log.warning("handing on what has not ended: %s tasks", len(requests))
        self._consumer.kill_pool()
        try:
            self._keeper.hand_on(requests)
        except STORE_ERRORS as error:
            log.warning("redis is away, and their leases will end: %s", error)
            return
        self._consumer.give_back(all_of_them=True)


def within(seconds: float, work: Callable[[], None]) -> None:
    """Waits for some work, but no longer than that."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
