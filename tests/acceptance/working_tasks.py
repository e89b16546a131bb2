"""Tasks of the acceptance tests: they tell who runs them, meet, wait for a sign, and are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tasks import TaskError, task
from tasks.context import TaskContext
from tests.waiting import wait_until

PATIENCE_S = 20.0


@task("double")
def double(input: dict[str, Any]) -> dict[str, Any]:
    return {"value": input["value"] * 2}


@task("tell")
def tell(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    told = {"pid": os.getpid(), "parent": os.getppid(), "thread": threading.get_ident()}
    return {**told, "attempt": ctx.attempt, "key": ctx.idempotency_key}


@task("gpu", queue="gpu")
def gpu(input: dict[str, Any]) -> dict[str, Any]:
    return {"on": os.environ.get("HARDWARE", "none")}


@task("meet")
def meet(input: dict[str, Any]) -> dict[str, Any]:
    """Returns once processes of `input["workers"]` workers are here."""
    place = Path(input["place"])
    (place / str(os.getppid())).touch()
    wait_until(lambda: len(list(place.iterdir())) >= input["workers"], PATIENCE_S)
    return {"square": input["item"] ** 2}


@task("wait_for_sign")
def wait_for_sign(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Leaves `started-PID` in its place, and returns once there is a file `go`."""
    place = Path(input["place"])
    (place / f"started-{os.getpid()}").touch()
    wait_until((place / "go").exists, PATIENCE_S)
    return {"attempt": ctx.attempt, "key": ctx.idempotency_key}


@task("kill_itself")
def kill_itself(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Kills its own process as often as `input["times"]` says, for ever without it."""
    place = Path(input["place"])
    (place / f"died-{os.getpid()}").touch()
    if len(list(place.iterdir())) <= input.get("times", 1000):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempt": ctx.attempt}


@task("async_double")
async def async_double(input: dict[str, Any]) -> dict[str, Any]:
    results = await asyncio.gather(*(_later(input["value"]) for _ in range(2)))
    return {"value": sum(results)}


@task("async_tell")
async def async_tell(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    items = [item async for item in _items(3)]
    return {"step": ctx.step, "items": items}


@task("async_fail")
async def async_fail(input: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    raise TaskError("NoGood", "it was no good")


@task("large")
def large(input: dict[str, Any]) -> dict[str, Any]:
    """A text of `input["bytes"]` bytes."""
    return {"text": "0123456789" * (input["bytes"] // 10)}


@task("grow")
def grow(input: dict[str, Any]) -> dict[str, Any]:
    return {"text": input["text"] + "!"}


@task("überprüfen 検査/λ")
def unicode_named(input: dict[str, Any]) -> dict[str, Any]:
    return {"回答": f"«{input['frage']}» 👩‍🚀", "keys": sorted(input)}


@task("fehler")
def unicode_failure(input: dict[str, Any]) -> dict[str, Any]:
    raise TaskError("Größe.Überschritten", "zu groß: 🐘")


async def _later(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def _items(count: int) -> AsyncIterator[int]:
    for item in range(count):
        await asyncio.sleep(0)
        yield item


@task("nap")
def nap(input: dict[str, Any]) -> dict[str, Any]:
    """Works for as long as it is told."""
    threading.Event().wait(input["seconds"])
    return {"slept": input["seconds"]}


@task("fail_once")
def fail_once(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Fails in its first attempt."""
    if ctx.attempt == 1:
        raise TaskError("Test.Once", "not yet")
    return {"attempt": ctx.attempt}


@task("hand_over")
def hand_over(input: dict[str, Any]) -> dict[str, Any]:
    """Leaves its token in its place, for somebody to report."""
    partial = Path(input["place"]) / "partial"
    partial.write_text(input["token"])
    partial.rename(partial.with_name("token"))
    return {}
