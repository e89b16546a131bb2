"""Health: whether the process lives, and whether it can serve; and what problems mean."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from starlette.responses import PlainTextResponse

from engine.api.answers import Health
from engine.api.problems import Problem, known, title_of
from engine.api.service import Serving
from engine.runtime.health import redis_errors

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Problem}})
def ready(service: Serving) -> Health:
    """Redis answers, too."""
    with redis_errors():
        service.engine.runtime.store.redis.ping()
    return Health(status="ok")


@router.get("/problems/{code}", response_class=PlainTextResponse)
async def explain(code: str) -> str:
    """What a problem's type means."""
    if not known(code):
        raise HTTPException(404, "there is no such problem")
    return f"{code}: {title_of(code)}\n"
