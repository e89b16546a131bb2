"""Scripted tasks: every task of every pair, for a worker started with `--tasks` and this file.

A task finds its answers by the flow it is called for: a flow is deployed under its pair's name.
Where its input holds a callback token under `token` or `Token`, it is written to a file in the
folder that the environment variable `TOKEN_FOLDER` names, so that a test can report it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tasks import TaskContext, task  # noqa: E402 - the path above has to be there first
from tests.fundamentals.answers import Answer, Call, answer_to, perform  # noqa: E402 - as above
from tests.fundamentals.pairs import owner_of, resources  # noqa: E402 - as above

TOKEN_FOLDER = "PENSTOCK_TEST_TOKENS"
POLL_S = 0.02


def token_file(folder: Path, execution: str, step: str, attempt: int) -> Path:
    """Where the token of an attempt of a step is written."""
    return folder / f"{execution}.{step}.{attempt}"


def register() -> None:
    """Registers a task for every resource that a pair scripts."""
    for resource in resources():
        task(resource)(_scripted(resource))


def _scripted(resource: str) -> Callable[[dict[str, Any], TaskContext], Any]:
    def answer(input: dict[str, Any], ctx: TaskContext) -> Any:
        call = Call(input, ctx.step, ctx.execution, ctx.attempt)
        pair = owner_of(ctx.flow, resource)
        found = answer_to(call, pair.scripts[resource] if pair else ())
        _keep_token(call)
        _take_time(found, ctx)
        return perform(found, call)

    return answer


def _keep_token(call: Call) -> None:
    folder = os.environ.get(TOKEN_FOLDER)
    token = call.input.get("token") or call.input.get("Token")
    if folder and token:
        file = token_file(Path(folder), call.execution, call.step, call.attempt)
        part = file.with_suffix(".part")
        part.write_text(token)
        part.rename(file)


def _take_time(answer: Answer, ctx: TaskContext) -> None:
    """Works for as long as the answer takes, or until nobody wants it any more."""
    nobody = threading.Event()
    left_s = answer.delay_s
    while left_s > 0 and not ctx.cancelled:
        nobody.wait(min(POLL_S, left_s))
        left_s -= POLL_S


register()
