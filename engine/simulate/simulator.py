"""The simulator: a flow run in one process, in virtual time, with tasks as plain functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from engine.core.events import Event
from engine.core.graph import Graph
from engine.core.states import ExecutionStatus
from engine.simulate.calls import TaskFunction
from engine.simulate.clock import VirtualClock
from engine.simulate.execution import SimulatedExecution
from engine.simulate.mocks import Mocks, mocks_of
from engine.simulate.objects import Objects
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
    outside: Callable[[World], None] | None = None,
    objects: Objects | None = None,
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
        outside: Called before the clock starts, to plan stops and reports on it
            (`world.clock.after(60, lambda: world.executions[flow, name].stop())`).
        objects: Where sources and sinks of streams are; None: a stream that names one fails.

    Raises:
        InvalidArgument: the mocks have not the right shape.
    """
    world = World(
        VirtualClock(time.time() if now is None else now, seed),
        tasks or {},
        {flow_name: graph, **(flows or {})},
        mocks_of(mocks),
        None if seed is None else Random(seed).random,
        objects,
    )
    execution = world.start(graph, flow_name, execution_name, input or {})
    if outside is not None:
        outside(world)
    finished = world.clock.run(max_actions)
    reason = None if finished else f"more than {max_actions} things happened; does the flow loop?"
    others = (other for other in world.executions.values() if other is not execution)
    return _result(execution, reason, tuple(_result(other, reason) for other in others))


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
