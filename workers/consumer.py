"""The consumer: what is for others goes back to them, dead pool processes are soon noticed."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty
from typing import Any

from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.message import Message

from engine.runtime.canvas import STATE_HEADER
from engine.runtime.documents import STATE_VERSION
from engine.runtime.outbox import CARRIED
from workers import waking

log = logging.getLogger("penstock.worker")

PUT_BACK_AFTER_S = 0.5
"""So long a message that is for others is held: a queue with no other worker is not a busy loop."""

MOST_HELD = 16
"""The most such messages that are held beside those that the slots may have."""

LOOK_EVERY_S = 0.5
"""How often a pool is looked at for processes that have died; Celery itself looks every 5 s."""

EVENTS_EVERY_S = 0.25
"""How long the events that monitors like Flower see wait for others, to be sent together."""


class StepConsumer(Consumer):
    """Celery's consumer, with what it lacks for steps."""

    connection_errors: tuple[type[Exception], ...]
    strategies: dict[str, Callable[..., None]]
    task_consumer: Any
    event_dispatcher: Any
    qos: Any
    stopped = threading.Event()
    """Set once it takes no more messages."""
    _has_events = False
    _held = 0

    def update_strategies(self) -> None:
        """Called at each (re)connection; a strategy says what becomes of a task's message."""
        super().update_strategies()
        self._held = 0
        for name, strategy in self.strategies.items():
            self.strategies[name] = partial(self._take, strategy)

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Leaves the message to a worker that has the task; Celery would reject it for good."""
        self._leave(message)

    def register_with_event_loop(self, hub: Any) -> None:
        """Called at each (re)connection, after the timers of the last one have been cleared."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(EVENTS_EVERY_S, self._send_events)
        if maintain := getattr(getattr(self.pool, "_pool", None), "maintain_pool", None):
            # Prefork. Until a dead process is noticed, its message blocks its slot.
            hub.call_repeatedly(LOOK_EVERY_S, maintain)
        else:
            waking.listen(hub)

    def stop(self) -> None:
        """Called once, when the worker ends and before it waits for its tasks."""
        self.give_back()
        channel: Any = getattr(self.task_consumer, "channel", None)
        super().stop()
        if getattr(channel, "_in_poll", None):
            # Redis may still answer the last question for messages. They go back where they were.
            with suppress(Empty, *self.connection_errors):
                channel._brpop_read()
        self.stopped.set()

    def give_back(self, all_of_them: bool = False) -> None:
        """Puts the messages that no slot is at back into their queues. Idempotent.

        `all_of_them`: others are at the steps of those that a slot is at, which nobody needs again.
        """
        for waiting in list(self.timer.queue):
            match waiting.entry.args:
                case [Request() as request, *_]:  # it waits for its ETA
                    waiting.entry.cancel()
                    self._give_back(request)
                case [Message() as message, *_]:  # it is held for others
                    waiting.entry.cancel()
                    message.reject_log_error(log, self.connection_errors, requeue=True)
                case _:
                    continue
        for request in set(state.reserved_requests) - set(state.active_requests):
            self._give_back(request)
        if all_of_them:
            for request in set(state.active_requests):
                request.message.ack_log_error(log, self.connection_errors)

    def _give_back(self, request: Any) -> None:
        # Not by the request: it would leave it to the loop, which has ended.
        if not request.acknowledged:
            request.acknowledged = True
            request.message.reject_log_error(log, self.connection_errors, requeue=True)

    def kill_pool(self) -> None:
        """Kills the processes of the pool, if it has some. Idempotent."""
        for process in getattr(getattr(self.pool, "_pool", None), "_pool", ()):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # stubs: a property
        """Called for each event. Celery sends it at once: a round trip between two steps."""
        self._has_events = True

    def _send_events(self) -> None:
        if self._has_events and self.event_dispatcher is not None:
            self._has_events = False
            self.event_dispatcher.flush()

    def _take(self, strategy: Callable[..., None], message: Any, *how: Any) -> None:
        """Takes a message, unless what it points to is kept in a form that we cannot read."""
        version = message.headers.get(STATE_HEADER, STATE_VERSION)
        if version == STATE_VERSION:
            strategy(message, *how)
            return
        log.warning("%s: left to a worker of its version, %s", message.headers.get("id"), version)
        self._leave(message)

    def _leave(self, message: Any) -> None:
        """Puts a message back into its queue, a little later; its slot is free meanwhile."""
        free = self._held < MOST_HELD
        if free:
            self._held += 1
            self.qos.increment_eventually()
        self.timer.call_after(PUT_BACK_AFTER_S, self._put_back, (message, free))

    def _put_back(self, message: Any, free: bool) -> None:
        if free:
            self._held -= 1
            self.qos.decrement_eventually()
        info = message.delivery_info
        if info.get("exchange"):
            message.reject_log_error(log, self.connection_errors, requeue=True)
            return
        # Requeued it would be the first again, and whatever is behind it would never be reached.
        kept = {name: message.properties[name] for name in CARRIED if name in message.properties}
        try:
            with self.app.producer_pool.acquire(block=True) as producer:
                producer.publish(
                    message.body,
                    exchange="",
                    routing_key=info["routing_key"],
                    content_type=message.content_type,
                    content_encoding=message.content_encoding,
                    headers=message.headers,
                    **kept,
                )
        except self.connection_errors as error:
            log.warning("the broker is away: %s", error)
            message.reject_log_error(log, self.connection_errors, requeue=True)
            return
        message.ack_log_error(log, self.connection_errors)
