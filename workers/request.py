"""The request of a step, in the worker's parent process: it notices when a pool child died."""

from __future__ import annotations

from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from workers import keeper


class StepRequest(Request):
    """A request that hands its step on at once when its process died."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Called in the parent for each failed request."""
        if isinstance(exc_info.exception, WorkerLostError):
            keeper.lost(self.id)
        return super().on_failure(exc_info, send_failed_event, return_ok)
