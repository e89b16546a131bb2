"""Tasks of the logged flows: one logs by its context, by a logger of its own, and fails."""

from __future__ import annotations

import logging
from typing import Any

from tasks import TaskContext, TaskError, task

log = logging.getLogger("of.a.library")


@task("speak")
def speak(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    ctx.log.warning("by its context", extra={"size": 7})
    log.warning("by a library: %s", "two words")
    if input.get("fail"):
        raise TaskError("Broken", "line one\nline two")
    return {}


@task("speak_in_stream", stream=True)
def speak_in_stream(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    log.warning("by a stage")
    ctx.write(b"spoken")
    return {}
