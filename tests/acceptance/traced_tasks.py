"""Tasks of the traced flows: one says what OpenTelemetry's current span is."""

from __future__ import annotations

import os
import signal
from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from tasks import TaskContext, TaskError, task


@task("where")
def where(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    place = get_current_span().get_span_context()
    return {
        "trace": format_trace_id(place.trace_id),
        "span": format_span_id(place.span_id),
        "sampled": bool(place.trace_flags.sampled),
    }


@task("flaky")
def flaky(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    if ctx.attempt < int(input.get("good_at", 2)):
        raise TaskError("Flaky", "the secret is swordfish")
    return {}


@task("dies")
def dies(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Kills its process on its first attempt."""
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {}
