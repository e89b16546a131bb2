"""A stage that the other workers do not have."""

from __future__ import annotations

from typing import Any

from tasks import TaskContext, task


@task("streamed/far", stream=True, queue="far")
def far(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes on."""
    for chunk in ctx.read():
        ctx.write(chunk)
    return {}
