"""The consumer: a message whose task this worker does not have goes back for another worker."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

PUT_BACK_AFTER_S = 0.5
"""So long a message of an unknown task is held: a queue with no other worker is not a busy loop."""


class StepConsumer(Consumer):
    """Celery's consumer rejects unknown tasks for good; this one puts them back."""

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """Puts the message back into its queue, a little later."""
        self.timer.call_after(PUT_BACK_AFTER_S, message.requeue)
