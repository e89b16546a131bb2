"""Tasks that last: too long for their limit, for a worker's end, or for anybody else to run."""

from __future__ import annotations

import ctypes
import math
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from tasks import task
from tasks.context import TaskContext
from tests.waiting import wait_until

PATIENCE_S = 40.0
MILLISECONDS = 1000


@task("last")
def last(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Leaves `started-ATTEMPT`, and returns after `seconds`, or once there is a file `go`."""
    place = _begun(input, ctx)
    ends_at = time.monotonic() + input.get("seconds", PATIENCE_S)
    wait_until(lambda: (place / "go").exists() or time.monotonic() > ends_at, PATIENCE_S * 2)
    return {"attempt": ctx.attempt}


@task("hold_interpreter")
def hold_interpreter(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Lets no other thread of its process run for `seconds`."""
    _begun(input, ctx)
    ctypes.PyDLL(None).poll(None, 0, int(input["seconds"] * MILLISECONDS))
    return {"attempt": ctx.attempt}


@task("match_for_long")
def match_for_long(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """The same by a regular expression: one call lasts `seconds`, to twice as long."""
    _begun(input, ctx)
    length, took_s = 16, 0.0
    while took_s < input["seconds"]:
        # Each letter more doubles the time.
        length += 1 if took_s < 0.1 else max(1, math.ceil(math.log2(input["seconds"] / took_s)))
        begun = time.monotonic()
        assert re.match("(a+)+$", "a" * length + "!") is None
        took_s = time.monotonic() - begun
    return {"attempt": ctx.attempt}


@task("never_end")
def never_end(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Its first attempts last until their limit ends them; the third returns."""
    _begun(input, ctx)
    if ctx.attempt < 3:
        wait_until(lambda: ctx.cancelled, PATIENCE_S)
    return {"attempt": ctx.attempt}


@task("stubborn")
def stubborn(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Goes on in its first attempt when it is told that its time is over."""
    place = _begun(input, ctx)
    while ctx.attempt == 1:
        try:
            threading.Event().wait(PATIENCE_S)
        except SoftTimeLimitExceeded:
            (place / f"told-{os.getpid()}").touch()
    return {"attempt": ctx.attempt, "pid": os.getpid()}


@task("clean_up")
def clean_up(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Leaves a file when it is told that its time is over."""
    place = _begun(input, ctx)
    try:
        threading.Event().wait(PATIENCE_S)
    finally:
        (place / "cleaned").touch()
    return {}


def _begun(input: dict[str, Any], ctx: TaskContext) -> Path:
    place = Path(input["place"])
    (place / f"started-{ctx.attempt}").touch()
    return place
