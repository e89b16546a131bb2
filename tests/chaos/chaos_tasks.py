"""Tasks of the chaos runs: what they return depends on their input alone, whoever runs them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from tasks import TaskError, task
from tasks.context import TaskContext
from tests.waiting import wait_until

WORK_S = 0.03
PATIENCE_S = 60.0


@task("chaos:work")
def work(input: dict[str, Any]) -> dict[str, Any]:
    """Takes a moment, as work does."""
    threading.Event().wait(WORK_S)
    return {"value": input["item"] * 2}


@task("chaos:quick")
def quick(input: dict[str, Any]) -> dict[str, Any]:
    return {"value": input["item"] * 2}


@task("chaos:flaky")
def flaky(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Every third item is busy until it has been asked once under its key."""
    threading.Event().wait(WORK_S)
    if input["item"] % 3 == 0:
        asked = Path(input["place"]) / ctx.idempotency_key.replace("/", "_")
        if not asked.exists():
            asked.touch()
            raise TaskError("Test.Busy", f"item {input['item']} is busy")
    return {"value": input["item"] * 2}


@task("chaos:wait")
def wait(input: dict[str, Any]) -> dict[str, Any]:
    """Leaves `started-PID` in its place, and returns once there is a file `go`."""
    place = Path(input["place"])
    (place / f"started-{os.getpid()}").touch()
    wait_until((place / "go").exists, PATIENCE_S)
    return {}


@task("chaos:count")
def count(input: dict[str, Any]) -> dict[str, Any]:
    return {"turn": input.get("turn", 0) + 1}


@task("chaos:large")
def large(input: dict[str, Any]) -> dict[str, Any]:
    """A value that is kept apart from its frame."""
    return {"pages": ["x" * 5000] * 20}


@task("chaos:ask")
def ask(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Leaves its token where the reporter finds it."""
    name = f"{ctx.idempotency_key}.{ctx.attempt}".replace("/", "_")
    partial = Path(input["place"]) / f"{name}.partial"
    partial.write_text(input["token"])
    partial.rename(partial.with_suffix(".token"))
    return {}


@task("chaos:list")
def list_page(input: dict[str, Any]) -> dict[str, Any]:
    """A page of archived objects, from a marker on."""
    first = int(input.get("marker") or 0)
    stop = min(first + input["page"], input["objects"])
    names = [f"object-{n}" for n in range(first, stop)]
    groups = [names[at : at + 3] for at in range(0, len(names), 3)]
    return {"groups": groups, "marker": stop, "end": stop >= input["objects"]}


@task("chaos:restore")
def restore(input: dict[str, Any]) -> dict[str, Any]:
    threading.Event().wait(WORK_S)
    for name in input["group"]:
        (Path(input["place"]) / name).touch()
    return {"restored": len(input["group"])}


@task("chaos:poll")
def poll(input: dict[str, Any]) -> dict[str, Any]:
    """Counts what has been restored."""
    names = [name for group in input["groups"] for name in group]
    return {"ready": all((Path(input["place"]) / name).exists() for name in names)}
