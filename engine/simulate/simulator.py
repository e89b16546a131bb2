"""The simulator: a flow run in one process, in virtual time, with tasks as plain functions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from engine.core.events import Event
from engine.core.frame import Frame
from engine.core.graph import Graph
from engine.core.happenings import TaskRaised, TaskTimedOut
from engine.core.outcomes import FUNCTION_NOT_FOUND
from engine.core.scheduler import started
from engine.core.states import ExecutionStatus
from engine.core.tasks import task_call
from engine.simulate.attempts import Attempt, function_names
from engine.simulate.calls import TaskFunction
from engine.simulate.clock import VirtualClock
from engine.simulate.execution import SimulatedExecution, fence_of
from engine.simulate.mocks import Mock, Mocks, mocks_of
from engine.simulate.runners import runner_of
from engine.simulate.world import World

MAX_ACTIONS = 1_000_000
"""So many things may happen in a simulation before it is given up."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of an execution.

    `status` is Running when nothing more could happen: a callback nobody reports (`cause` names
    the steps), or a flow that went on for too long. `children` are the executions started on
    the way, in the order of their start; only the first one's result has them.
    """

    flow_name: str
    execution_name: str
    status: ExecutionStatus
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    cause: str | None
    history: list[Event]
    children: tuple[Simulation, ...] = ()


def simulate(
    graph: Graph,
    input: dict[str, Any] | None = None,
    *,
    tasks: Mapping[str, TaskFunction] | None = None,
    flows: Mapping[str, Graph] | None = None,
    mocks: Mocks | Mapping[str, Any] | None = None,
    now: float | None = None,
    seed: int | None = None,
    flow_name: str = "flow",
    execution_name: str = "simulation",
    max_actions: int = MAX_ACTIONS,
) -> Simulation:
    """Runs a flow to its end, and the executions it starts to theirs.

    Args:
        graph: The flow.
        input: The execution's input; None: {}.
        tasks: Functions by the names of their resources, `fn(input, ctx)`, plain or async.
        flows: Sub-flows by name; the flow itself is there under `flow_name`.
        mocks: Answers instead of functions, see `engine.simulate.mocks`.
        now: Where the clock starts, in seconds since the epoch; None: at the present time.
        seed: Draws the order of what happens at the same time, and the jitter of retries; None:
            the order of the text, no jitter.
        flow_name: The flow's name.
        execution_name: The execution's name.
        max_actions: How much may happen before the simulation is given up.

    Raises:
        InvalidArgument: the mocks have not the right shape.
    """
    world: World = World(
        clock=VirtualClock(time.time() if now is None else now, seed),
        tasks=tasks or {},
        flows={flow_name: graph, **(flows or {})},
        mocks=mocks_of(mocks),
        names=Random(0),
        run_task=lambda execution, frame: _run_task(world, execution, frame),
        jitter=None if seed is None else Random(seed).random,
    )
    execution = world.start(graph, flow_name, execution_name, input or {})
    finished = world.clock.run(max_actions)
    reason = None if finished else f"more than {max_actions} things happened; does the flow loop?"
    others = (other for other in world.executions.values() if other is not execution)
    return _result(execution, reason, tuple(_result(other, reason) for other in others))


def _run_task(world: World, execution: SimulatedExecution, frame: Frame) -> None:
    """Starts the attempt that a frame stands at; what comes of it happens by the clock."""
    if frame.step is None:
        raise ValueError(f"frame {frame.id!r} stands at no step")
    node = execution.graph.nodes[frame.step.path]
    call = task_call(execution.graph, frame, execution.info())
    mock = world.mock(execution, frame, node)
    attempt = Attempt(
        execution, frame, fence_of(frame), node, call, mock or Mock(), mock is not None
    )
    run = runner_of(world, attempt)
    if run is None:
        text = f"no task named {function_names(call.resource)[0]} is registered"
        attempt.happen(TaskRaised(FUNCTION_NOT_FOUND, text))
        return
    execution.record(frame.id, started(execution.graph, frame))
    if call.timeout_s is not None:
        world.later(call.timeout_s, attempt, TaskTimedOut(), late=True)
    run(world, attempt)


def _result(
    execution: SimulatedExecution, reason: str | None, children: tuple[Simulation, ...] = ()
) -> Simulation:
    cause = execution.cause
    if not execution.status.ended:
        waiting = ", ".join(frame.step.path for frame in execution.frames.values() if frame.step)
        cause = reason or f"nobody reports what it waits for at: {waiting}"
    return Simulation(
        flow_name=execution.flow,
        execution_name=execution.name,
        status=execution.status,
        input=execution.input,
        output=execution.output,
        error=execution.error,
        cause=cause,
        history=execution.history,
        children=children,
    )
