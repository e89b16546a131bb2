"""Fleet results: how a task of workers that know nothing of us has failed."""

from __future__ import annotations

from celery import Celery
from celery.result import AsyncResult

from engine.core.outcomes import OUTCOME_UNKNOWN, Failure, failure_of

NO_BACKEND = Failure(
    OUTCOME_UNKNOWN,
    "the task failed; how, its fleet does not tell: PENSTOCK_FLEET_RESULT_BACKEND is not set",
)
UNREADABLE = Failure(
    OUTCOME_UNKNOWN, "the task failed; how, its fleet's result backend does not tell"
)


class FleetResults:
    """Reads the result backend of a foreign fleet, if the settings name one.

    The message that tells of a failure there has the task's id and no more.
    """

    def __init__(self, backend_url: str | None) -> None:
        self._app: Celery | None = None
        if backend_url:
            self._app = Celery("fleet", backend=backend_url, set_as_current=False)
            # A backend that is away is asked again by the message itself, not while it has a slot.
            impatient = {"retry_policy": {"max_retries": 1}}
            self._app.conf.update(
                accept_content=["json"], result_backend_transport_options=impatient
            )

    def failure(self, task_id: str) -> Failure:
        """How the task failed, named by its exception's class. Blocking.

        Raises:
            Exception: whatever the backend's client raises when it cannot be read.
        """
        if self._app is None:
            return NO_BACKEND
        error = AsyncResult(task_id, app=self._app).result
        return failure_of(error) if isinstance(error, BaseException) else UNREADABLE
