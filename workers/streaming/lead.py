"""The lead: runs a stream step for the conductor, with whoever comes to help."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from celery import Celery

from engine.core import happenings as hap
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS
from streams.errors import StreamError
from workers import limits
from workers.streaming.party import Party
from workers.streaming.session import Session


class Lead:
    """Leads the runs of stream steps, one after the other."""

    def __init__(self, runtime: Runtime, app: Celery) -> None:
        self._runtime = runtime
        self._app = app
        self._tidy: Callable[[], None] | None = None

    def run(self, work: Work) -> hap.Happening:
        """Runs a stream step's attempt, or goes on with what a lost one has begun."""
        assert work.call.stream is not None
        if (refusal := work.call.stream.refusal) is not None:
            return hap.TaskRaised(refusal.error, refusal.cause)
        session = Session(Party(self._runtime, work, work.node), self._app)
        with limits.noted() as over:
            happening = session.run(over)
        self._tidy = session.tidy
        return happening

    def settled(self) -> None:
        """What the last run has left goes, unless somebody goes on with it. Idempotent."""
        tidy, self._tidy = self._tidy, None
        if tidy is not None:
            with suppress(StreamError, *STORE_ERRORS):  # what is left has a TTL
                tidy()
