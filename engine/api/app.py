"""The application: all routes over one service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from engine.api import (
    approvals,
    audit,
    events,
    executions,
    flows,
    health,
    metrics,
    reports,
    rpc,
    schedules,
    streams,
    versions,
)
from engine.api.access import KeyRing
from engine.api.console import pages
from engine.api.console import routes as console
from engine.api.limits import Limits
from engine.api.openapi import describe
from engine.api.problems import handle_problems
from engine.api.service import Service

# They are tried in this order: first what is asked for most.
ROUTERS: tuple[APIRouter, ...] = (
    executions.router,
    rpc.router,
    flows.router,
    versions.router,
    streams.router,
    events.router,
    reports.router,
    approvals.router,
    schedules.router,
    audit.router,
    metrics.router,
    health.router,
    console.router,
    pages.router,
)


def make_app(service: Service) -> FastAPI:
    """The application of a service. For the event loop that the service is for."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.end_followers()
        await service.watch.close()

    # Its pages of documentation would load scripts from elsewhere: the description is enough.
    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.service = service
    app.state.key_ring = KeyRing(service)
    for router in ROUTERS:
        app.include_router(router)
    handle_problems(app)
    describe(app, version("penstock"))
    app.add_middleware(Limits, service=service)
    return app
