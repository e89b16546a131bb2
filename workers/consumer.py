"""The consumer: unknown tasks go back for another worker, dead pool processes are soon noticed."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

from workers import waking

PUT_BACK_AFTER_S = 0.5
"""So long a message of an unknown task is held: a queue with no other worker is not a busy loop."""

LOOK_EVERY_S = 0.5
"""How often a pool is looked at for processes that have died; Celery itself looks every 5 s."""

EVENTS_EVERY_S = 0.25
"""How long the events that monitors like Flower see wait for others, to be sent together."""


class StepConsumer(Consumer):
    """Celery's consumer, with what it lacks for steps."""

    event_dispatcher: Any
    _has_events = False

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Puts the message back into its queue, a little later; Celery would reject it for good."""
        self.timer.call_after(PUT_BACK_AFTER_S, message.requeue)

    def register_with_event_loop(self, hub: Any) -> None:
        """Called at each (re)connection, after the timers of the last one have been cleared."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(EVENTS_EVERY_S, self._send_events)
        if maintain := getattr(getattr(self.pool, "_pool", None), "maintain_pool", None):
            # Prefork. Until a dead process is noticed, its message blocks its slot.
            hub.call_repeatedly(LOOK_EVERY_S, maintain)
        else:
            waking.listen(hub)

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # stubs: a property
        """Called for each event. Celery sends it at once: a round trip between two steps."""
        self._has_events = True

    def _send_events(self) -> None:
        if self._has_events and self.event_dispatcher is not None:
            self._has_events = False
            self.event_dispatcher.flush()
