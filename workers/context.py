"""The context of a running task: what the store says of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from engine.core.frame import visit_key
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from tasks.context import TaskContext

ASK_EVERY_S = 0.5
"""How often `cancelled` really asks the store."""


@dataclass(slots=True, kw_only=True)
class WorkerContext(TaskContext):
    """A task's context on a worker."""

    runtime: Runtime
    work: Work
    _asked_at: float = field(default=float("-inf"))
    _cancelled: bool = False

    @property
    def cancelled(self) -> bool:
        """True once the result will be refused: the execution is being stopped, or it timed out."""
        now = time.monotonic()
        if not self._cancelled and now - self._asked_at > ASK_EVERY_S:
            self._asked_at = now
            self._cancelled = not self._wanted()
        return self._cancelled

    def _wanted(self) -> bool:
        pointer, store = self.work.pointer, self.runtime.store
        if "ending" in store.record(pointer.execution_id):
            return False
        if self.work.batch is not None:
            key = f"{self.work.frame.id.rpartition('.')[0]}*{self.work.batch}"
            return store.state(pointer.execution_id, key) is not None
        state = store.state(pointer.execution_id, pointer.frame)
        return state is not None and state["fence"] == pointer.fence


def context_of(runtime: Runtime, work: Work) -> WorkerContext:
    """The context of a task that is about to run."""
    return WorkerContext(**_told(work), runtime=runtime, work=work)


def unwatched_context_of(work: Work) -> TaskContext:
    """The same where the store knows nothing of the execution: it is never cancelled."""
    return TaskContext(**_told(work))


def _told(work: Work) -> dict[str, Any]:
    return {
        "execution": work.pointer.execution,
        "flow": work.pointer.flow,
        "step": work.pointer.step,
        "frame": work.frame.id,
        "attempt": work.call.attempt,
        "idempotency_key": f"{work.pointer.execution_id}/{visit_key(work.frame)}",
    }
