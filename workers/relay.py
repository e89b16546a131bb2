"""The relay: the thread in a worker's parent process that takes messages to another broker."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack

from celery import Celery
from celery.signals import worker_init, worker_shutdown

from engine.config import Settings
from engine.errors import BrokerUnavailable
from engine.runtime.broker import Broker
from engine.runtime.connecting import connect
from engine.runtime.keys import Keys
from engine.runtime.outbox import BATCH, Outbox, parcel_of
from engine.runtime.scripts import STORE_ERRORS

log = logging.getLogger("penstock.worker")

WAIT_S = 1.0
"""How long it sleeps at most while the outbox is empty; a message wakes it at once."""

PAUSE_S = 0.2
MOST_PAUSE_S = 2.0
"""Pause after a failure, doubled by each that follows."""

STOP_S = 4.0


class Relay:
    """Carries messages from the outbox to the broker. One in every worker, all at once."""

    def __init__(self, outbox: Outbox, broker: Broker) -> None:
        self.outbox = outbox
        self.broker = broker
        self._most = BATCH
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-relay", daemon=True)

    def start(self) -> None:
        """Begins in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what is left in the outbox is for the others, or for later."""
        self._stop.set()
        self._thread.join(timeout=STOP_S)

    def carry(self, wait_s: float) -> int:
        """Carries one batch, or waits for one; how many messages. Blocking.

        Raises:
            BrokerUnavailable: they are back in the outbox. redis.exceptions.RedisError: what was
                taken is lost, and sent again by its deadline.
        """
        envelopes = self.outbox.take(wait_s, self._most)
        if not envelopes:
            return 0
        with ExitStack() as failure:
            failure.callback(self._put_back, envelopes)
            self.broker.publish([parcel_of(envelope) for envelope in envelopes])
            failure.pop_all()
        self._most = min(BATCH, 2 * self._most)
        return len(envelopes)

    def _put_back(self, envelopes: list[str]) -> None:
        # One that the broker will not take must not be in the way of all others.
        alone = len(envelopes) == 1 and self.broker.opened
        self.outbox.put_back(envelopes, behind=alone)
        self._most = 1

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self.carry(WAIT_S)
                failures = 0
                continue
            except (BrokerUnavailable, *STORE_ERRORS) as error:
                if not failures:
                    log.warning("messages wait in the outbox: %s", error)
            except Exception:  # of the broker's client, who knows; the thread must outlive it
                log.exception("the relay failed, and tries it again")
            self._stop.wait(min(MOST_PAUSE_S, PAUSE_S * 2**failures))
            failures = min(10, failures + 1)
        self.broker.close()


def attach_relay(app: Celery, url: str, settings: Settings) -> None:
    """Has the worker that this process is about to become carry messages, from first to last."""
    relays: list[Relay] = []

    def begin(**_: object) -> None:
        keys = Keys(settings.key_prefix, settings.queue)
        relays.append(Relay(Outbox(connect(url), keys.outbox), Broker(app)))
        relays[0].start()

    def end(**_: object) -> None:
        for relay in relays:
            relay.stop()

    worker_init.connect(begin, weak=False)
    worker_shutdown.connect(end, weak=False)
