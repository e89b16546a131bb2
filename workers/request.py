"""The request of a step, in the worker's parent process: it sees to what the step's end needs."""

from __future__ import annotations

from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from workers import keeper, waking


class StepRequest(Request):
    """A request that hands its step on at once when its process died, and lets the next one in."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Called in the parent for each failed request."""
        if isinstance(exc_info.exception, WorkerLostError):
            keeper.lost(self.id)
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def acknowledge(self) -> None:
        """Called by whoever ran the task: in a pool of threads, one of them."""
        super().acknowledge()
        waking.wake()
