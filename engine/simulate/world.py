"""The world of a simulation: executions that run, and what can be done to them from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.core.frame import Frame
from engine.core.graph import Graph
from engine.core.happenings import Reported, TaskRaised, TaskTimedOut
from engine.core.outcomes import function_not_found
from engine.core.scheduler import started
from engine.core.tasks import task_call
from engine.simulate.attempts import Attempt
from engine.simulate.calls import TaskFunction
from engine.simulate.clock import VirtualClock
from engine.simulate.execution import SimulatedExecution, fence_of
from engine.simulate.mocks import Mock, Mocks
from engine.simulate.objects import Objects
from engine.simulate.runners import runner_of, unknown_task
from engine.simulate.stage import Stage


class World:
    """For who needs more than `simulate`: starts, stops and reports, at times of the clock.

    Nothing happens before `clock.run`; `clock.after` plans what is done from outside.
    """

    def __init__(
        self,
        clock: VirtualClock,
        tasks: Mapping[str, TaskFunction],
        flows: Mapping[str, Graph],
        mocks: Mocks,
        jitter: Callable[[], float] | None = None,
        objects: Objects | None = None,
    ) -> None:
        self.clock = clock
        self._stage = Stage(clock, tasks, flows, mocks, self._run_task, jitter, objects)

    @property
    def executions(self) -> Mapping[tuple[str, str], SimulatedExecution]:
        """All executions by flow and name, in the order of their start."""
        return self._stage.executions

    def start(
        self, graph: Graph, flow: str, name: str, input: dict[str, Any]
    ) -> SimulatedExecution:
        """Starts an execution now."""
        return self._stage.start(graph, flow, name, input)

    def report_succeeded(self, token: str, output: dict[str, Any]) -> None:
        """Reports a callback's success now.

        Raises:
            InvalidArgument: nobody was handed this token.
            TaskAlreadyCompleted: its attempt is over.
            TaskInvalidState: its attempt has not begun.
        """
        self._stage.report(token, Reported(output))

    def report_failed(self, token: str, error: str, cause: str = "") -> None:
        """Reports a callback's failure now; raises as `report_succeeded` does."""
        self._stage.report(token, TaskRaised(error, cause, reported=True))

    def _run_task(self, execution: SimulatedExecution, frame: Frame) -> None:
        """Starts the attempt that a frame stands at; what comes of it happens by the clock."""
        if frame.step is None:
            raise ValueError(f"frame {frame.id!r} stands at no step")
        node, fence = execution.graph.nodes[frame.step.path], fence_of(frame)
        call = task_call(execution.graph, frame, execution.info())
        mock = self._stage.mock(execution, frame, node)
        attempt = Attempt(execution, frame, fence, node, call, mock or Mock(), mock is not None)
        run = runner_of(self._stage, attempt)
        if run is None:
            failure = function_not_found(unknown_task(self._stage, call.resource))
            attempt.happen(TaskRaised(failure.error, failure.cause))
            return
        execution.begun[frame.id] = fence
        execution.record(frame.id, started(execution.graph, frame))
        if call.timeout_s is not None:
            self._stage.later(call.timeout_s, attempt, TaskTimedOut(), late=True)
        run(self._stage, attempt)
