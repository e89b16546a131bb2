"""An attempt: one run of a task in a simulation, and where its outcome goes."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

from engine.core.frame import Frame, visit_key
from engine.core.graph import Graph, Node
from engine.core.happenings import Happening, Reported, TaskRaised
from engine.core.outcomes import child_failure
from engine.core.states import ExecutionStatus
from engine.core.tasks import TaskCall
from engine.fdl.resources import (
    ActionResource,
    CeleryResource,
    FunctionResource,
    NamedResource,
    Resource,
)
from engine.simulate.calls import SimulatedContext
from engine.simulate.execution import Fence, SimulatedExecution
from engine.simulate.mocks import Mock, MockReport


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is called and how. `mock` has only its defaults when there is none (`mocked` False)."""

    execution: SimulatedExecution
    frame: Frame
    fence: Fence
    node: Node
    call: TaskCall
    mock: Mock
    mocked: bool

    def happen(self, happening: Happening) -> bool:
        """Tells the frame; False: it has gone on without this attempt."""
        return self.execution.happen(self.frame.id, self.fence, happening)

    def random_name(self, purpose: str = "") -> str:
        """A UUID, the same one for this attempt and purpose in every simulation."""
        where = f"{self.execution.flow}:{self.execution.name}/{visit_key(self.frame)}"
        return str(uuid5(NAMESPACE_OID, f"{where}/{self.call.attempt}/{purpose}"))

    def context(self) -> SimulatedContext:
        """The task's second argument."""
        return SimulatedContext(
            execution=self.execution.name,
            flow=self.execution.flow,
            step=self.node.step.name,
            frame=self.frame.id,
            attempt=self.call.attempt,
            idempotency_key=f"{self.execution.flow}:{self.execution.name}/{visit_key(self.frame)}",
        )


def function_names(resource: Resource) -> tuple[str, ...]:
    """The names a task may be registered under, the best one first."""
    match resource:
        case FunctionResource():
            return resource.names
        case ActionResource() | NamedResource():
            return (resource.name,)
        case CeleryResource():
            return (resource.task, f"celery:{resource.task}")
        case _:
            return (resource.display,)


def mock_names(flow: str, graph: Graph, frame: Frame, node: Node) -> list[str]:
    """The names a step's mock may be found under, the most exact one first."""
    own = node.step.name
    in_frame = f"{frame.id}/{own}" if frame.id else own
    names = list(dict.fromkeys((in_frame, node.path, "/".join(_way_to(graph, node)), own)))
    return [f"{flow}:{name}" for name in names] + names


def end_of_child(end: SimulatedExecution) -> Happening:
    """What a child's end is for the task that waits for it."""
    if end.status is ExecutionStatus.SUCCEEDED:
        return Reported(end.output or {})
    failure = child_failure(end.status, end.error, end.cause)
    return TaskRaised(failure.error, failure.cause, reported=True)


def reported(report: MockReport) -> Happening:
    """A mock's report as a happening."""
    if report.error is not None:
        return TaskRaised(report.error, report.cause, reported=True)
    return Reported(report.output or {})


def _way_to(graph: Graph, node: Node) -> list[str]:
    """The names of the steps around a step, and its own."""
    names = [node.step.name]
    while (owner := graph.series[node.series].owner) is not None:
        node = graph.nodes[owner]
        names.insert(0, node.step.name)
    return names
