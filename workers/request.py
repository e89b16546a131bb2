"""The request of a step, in the worker's parent process: it sees to what the step's end needs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from engine.runtime.canvas import STATE_HEADER
from workers import keeper, waking


class StepRequest(Request):
    """A request that hands its step on at once when its process died, and lets the next one in."""

    @property
    def eta(self) -> datetime | None:
        """When it is due, by this machine's clock; our messages tell it by that of the store."""
        told: datetime | None = super().eta
        ours = STATE_HEADER in self.request_dict
        return told + timedelta(seconds=keeper.ahead_s()) if told and ours else told

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Called where the task will run in this process before it does; else about then."""
        super().on_accepted(pid, time_accepted)
        keeper.begun()

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Called in the parent for each failed request."""
        error = exc_info.exception  # the pool may have wrapped it
        if isinstance(getattr(error, "exc", error), WorkerLostError):
            keeper.lost(self.id)
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Called in the parent when a limit is over; at the hard one the process is killed."""
        super().on_timeout(soft, timeout)
        if not soft:
            keeper.killed(self.id)

    def acknowledge(self) -> None:
        """Called by whoever ran the task: in a pool of threads, one of them."""
        super().acknowledge()
        waking.wake()
