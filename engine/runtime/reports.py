"""Reports: somebody outside says how a task that waits for its token came out."""

from __future__ import annotations

from typing import Any

from engine.core.frame import visit_key
from engine.errors import TaskAlreadyCompleted, TaskInvalidState
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.sending import again

_DONE = "the task of this token has been reported, has timed out or was cut off"


def report(runtime: Runtime, token: str, news: dict[str, Any]) -> None:
    """Hands news to the task of a token; the first report wins. Atomic.

    Raises:
        InvalidArgument: the token is not ours. TaskAlreadyCompleted: reported before, or over.
        TaskInvalidState: the task has not begun yet. ConcurrentUpdateError: another version's.
    """
    ticket = runtime.tokens.read(token)
    pointer = Pointer(ticket.flow, ticket.execution, "", ticket.attempt, ticket.frame, "", "resume")
    identity = pointer.execution_id
    runtime.store.check_version(identity)
    state = runtime.store.state(identity, ticket.frame)
    frame = runtime.store.frame(identity, ticket.frame)
    if state is None or frame is None or frame.step is None or state.get("wake"):
        raise TaskAlreadyCompleted(_DONE)
    if visit_key(frame) != ticket.visit or frame.step.attempt != ticket.attempt:
        raise TaskAlreadyCompleted(_DONE)
    if state["st"] == "READY":
        raise TaskInvalidState("the task of this token has not begun yet; report again later")
    waiting = pointer.to(
        "resume", str(state["fence"]), frame.step.path.rpartition("/")[2], ticket.attempt
    )
    answer = runtime.store.wake(waiting, again(runtime, waiting), ("WAITING", "RUNNING"), news)
    if answer.verdict is not Verdict.APPLIED:
        raise TaskAlreadyCompleted(_DONE)
