"""Decisions: a task that waits for its token, approved or rejected by who looks at it.

The token never leaves the server: who decides names the frame, and what they saw there.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import TaskInvalidState
from engine.fdl.model import TaskStep
from engine.runtime.engine import Engine
from engine.runtime.health import redis_errors
from engine.runtime.pointer import execution_id

REJECTED = "Rejected"


class Decision(BaseModel):
    """What somebody decides. `path`, `attempt`: of the task that they saw waiting in the frame.

    `output`: of an approval. `cause`: of a rejection.
    """

    model_config = ConfigDict(extra="forbid")

    frame: Annotated[str, Field(max_length=2000)] = ""
    path: Annotated[str, Field(max_length=2000)]
    attempt: int = Field(ge=1, le=10**9)
    approve: bool
    output: dict[str, Any] = {}
    error: Annotated[str, Field(min_length=1, max_length=256)] = REJECTED
    cause: Annotated[str, Field(max_length=2000)] = ""


@redis_errors()
def decide(engine: Engine, flow: str, name: str, decision: Decision) -> None:
    """Reports the task as succeeded or failed. Once: the first decision holds.

    Raises:
        TaskInvalidState: no such attempt waits there. TaskAlreadyCompleted; EntityTooLarge.
    """
    runtime = engine.runtime
    frame = runtime.store.frame(execution_id(flow, name), decision.frame)
    step = frame.step if frame is not None else None
    same = step is not None and (step.path, step.attempt) == (decision.path, decision.attempt)
    if frame is None or not same or not _asks(engine, flow, name, decision.path):
        raise TaskInvalidState(f"{decision.path} does not wait for this decision any more")
    token = runtime.tokens.make(flow, name, frame)
    if decision.approve:
        engine.report_task_succeeded(token, decision.output)
    else:
        engine.report_task_failed(token, decision.error, decision.cause)
    comment = decision.output.get("comment", "") if decision.approve else decision.cause
    name_of_step = decision.path.rpartition("/")[2]
    told = {"step": name_of_step, "approved": decision.approve, "comment": comment}
    engine.audit.record("DecideTask", f"{flow}/{name}", told)


def _asks(engine: Engine, flow: str, name: str, path: str) -> bool:
    """True for a task that waits for somebody to report."""
    record = engine.runtime.store.record(execution_id(flow, name))
    step = engine.runtime.definitions.graph(record["definition"]).node(path).step
    return isinstance(step, TaskStep) and step.pattern == "waitForCallback"
