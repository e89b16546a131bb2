"""Tasks of the API's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import TaskError, task
from tasks.context import TaskContext
from tests.waiting import wait_until

PATIENCE_S = 20.0


@task("api/double")
def double(input: dict[str, Any]) -> dict[str, Any]:
    return {"value": input["value"] * 2}


@task("api/break")
def breaks(input: dict[str, Any]) -> dict[str, Any]:
    raise TaskError("Broken", "it is broken")


@task("api/ask")
def ask(input: dict[str, Any]) -> dict[str, Any]:
    """Leaves the token of its callback where the test finds it."""
    place = Path(input["place"])
    written = place.with_suffix(".part")
    written.write_text(input["token"])
    written.rename(place)
    return {}


@task("api/echo", stream=True, stateless=True)
def echo(input: dict[str, Any], ctx: TaskContext) -> None:
    for chunk in ctx.read():
        ctx.write(bytes(chunk))


@task("api/give", stream=True)
def give(input: dict[str, Any], ctx: TaskContext) -> None:
    """Writes `count` chunks of `size` bytes, waits for a sign if it is to, and then fails, too."""
    for number in range(input["count"]):
        ctx.write(bytes([number % 256]) * input.get("size", 1000))
    if place := input.get("waits"):
        wait_until(Path(place).exists, PATIENCE_S)
    if input.get("fails"):
        raise TaskError("Broken", "after the last chunk")


@task("api/swallow", stream=True)
def swallow(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Reads one chunk, and the rest once there is a sign."""
    size = 0
    for chunk in ctx.read():
        size += len(chunk)
        wait_until(Path(input["waits"]).exists, PATIENCE_S)
    ctx.write(str(size).encode())
    return {"size": size}
