"""The seam between deciding and working: who runs a task's function for the conductor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.core.frame import Frame
from engine.core.graph import Graph
from engine.core.happenings import Happening
from engine.core.scheduler import TaskCall
from engine.runtime.pointer import Pointer


@dataclass(frozen=True, slots=True)
class Work:
    """A task to be run: what is called, and where it stands.

    `batch`: the one it is in. `node`: the worker that runs it.
    """

    pointer: Pointer
    graph: Graph
    frame: Frame
    call: TaskCall
    batch: str | None = None
    node: str = ""


class Runner(Protocol):
    """Runs tasks."""

    def run(self, work: Work) -> Happening:
        """Runs one attempt and says what came of it; never raises what the task raises."""
