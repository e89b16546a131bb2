"""A pointer: all that a message of the engine carries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Kind = Literal["begin", "task", "unserved", "wait", "join", "resume", "lane"]
"""What the frame waits for: its first step, a task's turn, a worker that has the task, a wait's
end, its children, news, items."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Points to a frame that may be claimed with `fence`; for a lane, `frame` is the join.

    It is the keyword arguments of the Celery message, and so what Flower shows.
    """

    flow: str
    execution: str
    step: str
    attempt: int
    frame: str
    fence: str
    kind: Kind

    @property
    def execution_id(self) -> str:
        """The id under which everything of the execution is kept."""
        return execution_id(self.flow, self.execution)

    def to(self, kind: Kind, fence: str, step: str = "", attempt: int = 0) -> Pointer:
        """The pointer to where the same frame stands next."""
        return replace(self, kind=kind, fence=fence, step=step, attempt=attempt)

    def kwargs(self) -> dict[str, Any]:
        """The message's keyword arguments."""
        return asdict(self)


def execution_id(flow: str, name: str) -> str:
    """The id of an execution: unique, readable, and the Celery id of its first message."""
    return f"{flow}:{name}"
