"""The consumer: unknown tasks go back for another worker, dead pool processes are soon noticed."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

PUT_BACK_AFTER_S = 0.5
"""So long a message of an unknown task is held: a queue with no other worker is not a busy loop."""

LOOK_EVERY_S = 0.5
"""How often a pool is looked at for processes that have died; Celery itself looks every 5 s."""


class StepConsumer(Consumer):
    """Celery's consumer, with what it lacks for steps."""

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Puts the message back into its queue, a little later; Celery would reject it for good."""
        self.timer.call_after(PUT_BACK_AFTER_S, message.requeue)

    def register_with_event_loop(self, hub: Any) -> None:
        """Called at each (re)connection, after the timers of the last one have been cleared."""
        super().register_with_event_loop(hub)
        # Only prefork has processes. Until a dead one is noticed, its message blocks its slot.
        if maintain := getattr(getattr(self.pool, "_pool", None), "maintain_pool", None):
            hub.call_repeatedly(LOOK_EVERY_S, maintain)
