"""The service: what all requests of one API process share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from engine.api.buckets import Buckets
from engine.api.settings import ApiSettings
from engine.api.tally import Tally
from engine.errors import ResourceThrottled
from engine.runtime.engine import Engine
from engine.runtime.nonces import Nonces
from engine.runtime.watching import HistoryWatch

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 40
"""How many calls of the engine one process makes at the same time."""


class Places:
    """A bounded number of places for requests that last."""

    def __init__(self, most: int, what: str) -> None:
        self.taken = 0
        self._most = most
        self._what = what

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place within the block. Raises ResourceThrottled: there is none."""
        self.take()
        try:
            yield
        finally:
            self.free()

    def take(self) -> None:
        """Takes a place, to be freed. Raises ResourceThrottled."""
        self.check()
        self.taken += 1

    def check(self) -> None:
        """Raises ResourceThrottled: there is no place."""
        if self.taken >= self._most:
            raise ResourceThrottled(f"{self._most} {self._what} are open; come again later")

    def free(self) -> None:
        """Gives a place back."""
        self.taken -= 1


@dataclass
class Service:
    """The engine and what belongs to serving it. For one event loop.

    `open`: there are no access keys yet, and everybody who can connect may do everything.
    """

    engine: Engine
    settings: ApiSettings
    watch: HistoryWatch
    nonces: Nonces
    buckets: Buckets
    streams: Places
    followers: Places
    open: bool
    tally: Tally = field(default_factory=Tally)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(THREADS))

    def end_followers(self) -> None:
        """Has all that wait for an execution, or follow one, end soon: the process stops."""
        self.closing.set()
        self.watch.end()

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call of the engine, in a thread: it blocks."""
        return await to_thread.run_sync(partial(work, *args, **kwargs), limiter=self.threads)


def make_service(engine: Engine, url: str, settings: ApiSettings, open: bool) -> Service:
    """The service of one process on an engine; `url`: of the engine's Redis."""
    runtime = engine.runtime
    return Service(
        engine=engine,
        settings=settings,
        watch=HistoryWatch(url, runtime.store.keys),
        nonces=Nonces(runtime),
        buckets=Buckets(settings.rate_per_s),
        streams=Places(settings.max_streams, "streamed executions"),
        followers=Places(settings.max_followers, "requests that wait or follow"),
        open=open,
    )


async def service_of(request: Request) -> Service:
    """The service that a request has come to."""
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(service_of)]
"""A route's parameter: the service."""
