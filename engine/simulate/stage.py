"""The stage of a simulation: what all its executions share (clock, flows, functions, mocks)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.frame import Frame, visit_key
from engine.core.graph import Graph, Node
from engine.core.happenings import Happening
from engine.errors import InvalidArgument, TaskAlreadyCompleted, TaskInvalidState
from engine.simulate.attempts import Attempt, mock_names
from engine.simulate.calls import TaskFunction
from engine.simulate.clock import VirtualClock
from engine.simulate.execution import Fence, SimulatedExecution, fence_of
from engine.simulate.mocks import Mock, Mocks
from engine.simulate.objects import Objects

_PLACEHOLDER = "<>${}"
"""What deploy templates put around a flow's name that they would fill in."""


@dataclass(frozen=True, slots=True)
class NamedFlow:
    """A flow under the name that its executions run under."""

    name: str
    graph: Graph


@dataclass(slots=True)
class Stage:
    """Everything that the executions of a simulation share."""

    clock: VirtualClock
    tasks: Mapping[str, TaskFunction]
    flows: Mapping[str, Graph]
    mocks: Mocks
    run_task: Callable[[SimulatedExecution, Frame], None]
    jitter: Callable[[], float] | None = None
    objects: Objects | None = None
    executions: dict[tuple[str, str], SimulatedExecution] = field(default_factory=dict)
    calls: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    tokens: dict[str, tuple[SimulatedExecution, str, Fence]] = field(default_factory=dict)

    def flow(self, name: str) -> NamedFlow | None:
        """The flow of that name, also without the marks of a template's placeholder."""
        for known in (name, name.strip(_PLACEHOLDER)):
            if known in self.flows:
                return NamedFlow(known, self.flows[known])
        return None

    def start(
        self, graph: Graph, flow: str, name: str, input: dict[str, Any]
    ) -> SimulatedExecution:
        """Starts an execution now."""
        execution = SimulatedExecution(
            graph, flow, name, input, self.clock, self.run_task, self.token, random=self.jitter
        )
        self.executions[flow, name] = execution
        execution.start()
        return execution

    def token(self, execution: SimulatedExecution, frame: Frame) -> str:
        """The callback token of the attempt a frame is at."""
        attempt = frame.step.attempt if frame.step else 0
        place = f"{execution.flow}/{execution.name}/{visit_key(frame)}/{attempt}"
        token = f"simulated:{hashlib.sha256(place.encode()).hexdigest()[:32]}"
        self.tokens[token] = (execution, frame.id, fence_of(frame))
        return token

    def report(self, token: str, happening: Happening) -> None:
        """Reports a token at once.

        Raises:
            InvalidArgument: nobody was handed this token.
            TaskAlreadyCompleted: its attempt is over.
            TaskInvalidState: its attempt has not begun.
        """
        if token not in self.tokens:
            raise InvalidArgument("this task token was never handed out")
        execution, frame_id, fence = self.tokens[token]
        if not execution.stands(frame_id, fence):
            raise TaskAlreadyCompleted("the task of this token is over")
        if execution.begun.get(frame_id) != fence:
            raise TaskInvalidState("the task of this token has not begun yet")
        execution.happen(frame_id, fence, happening)

    def report_later(self, token: str, happening: Happening) -> None:
        """Reports a token for an execution that ended, if somebody still waits for it."""
        if token in self.tokens:
            self._happen_after(0.0, *self.tokens[token], happening)

    def later(
        self, delay_s: float, attempt: Attempt, happening: Happening, late: bool = False
    ) -> None:
        """Has something happen to an attempt, unless it is over by then."""
        where = attempt.execution, attempt.frame.id, attempt.fence
        self._happen_after(delay_s, *where, happening, late)

    def mock(self, execution: SimulatedExecution, frame: Frame, node: Node) -> Mock | None:
        """The mock of the next call of a step; None: it has none."""
        names = mock_names(execution.flow, execution.graph, frame, node)
        entries = self.mocks.entry(names)
        if entries is None:
            return None
        place = (execution.flow, execution.name, frame.id, node.path)
        count = self.calls.get(place, 0)
        self.calls[place] = count + 1
        return entries[min(count, len(entries) - 1)]

    def _happen_after(
        self,
        delay_s: float,
        execution: SimulatedExecution,
        frame_id: str,
        fence: Fence,
        happening: Happening,
        late: bool = False,
    ) -> None:
        def act() -> None:
            execution.happen(frame_id, fence, happening)

        self.clock.after(delay_s, act, late)
