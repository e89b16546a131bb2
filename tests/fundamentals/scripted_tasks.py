"""Scripted tasks: every task of every pair, for a worker started with `--tasks` and this file.

A task finds its answers by the flow it is called for: a flow is deployed under its pair's name,
a sub-flow under its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

import tests.fundamentals.stream_tasks  # noqa: F401  # its import registers the pairs' stream tasks
from tasks import TaskContext, task
from tests.fundamentals.answers import Answer, Call, answer_to, perform
from tests.fundamentals.pairs import owner_of, resources
from tests.fundamentals.token_files import keep_token

POLL_S = 0.02


def worker_tasks() -> None:
    """Registers a task for every resource that a pair scripts."""
    for resource in resources():
        task(resource)(_scripted(resource))


def _scripted(resource: str) -> Callable[[dict[str, Any], TaskContext], Any]:
    def answer(input: dict[str, Any], ctx: TaskContext) -> Any:
        call = Call(input, ctx.step, ctx.execution, ctx.attempt)
        pair = owner_of(ctx.flow, resource)
        found = answer_to(call, pair.scripts[resource] if pair else ())
        keep_token(input, ctx.execution, ctx.step, ctx.attempt)
        _take_time(found, ctx)
        return perform(found, call)

    return answer


def _take_time(answer: Answer, ctx: TaskContext) -> None:
    """Works for as long as the answer takes, or until nobody wants it any more."""
    nobody = threading.Event()
    left_s = answer.delay_s
    while left_s > 0 and not ctx.cancelled:
        nobody.wait(min(POLL_S, left_s))
        left_s -= POLL_S


worker_tasks()
