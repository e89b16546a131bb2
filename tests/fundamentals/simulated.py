"""A pair in the simulator: its flows, scripted tasks, reports and stop, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from engine.core.checks import load_flow
from engine.core.graph import Graph, Node
from engine.fdl.model import TaskStep
from engine.simulate.attempts import function_names
from engine.simulate.mocks import Mock, Mocks
from engine.simulate.simulator import Simulation, simulate
from tasks import TaskContext, shipped
from tasks.registry import tasks
from tests.fundamentals import stream_tasks
from tests.fundamentals.answers import Answer, Call, answer_to, perform
from tests.fundamentals.outside import Outsider
from tests.fundamentals.pairs import Pair

NOW = 1_800_000_000.0
MOST_ATTEMPTS = 10
DEFAULT_NAME = "simulation"
STREAM_TASKS = stream_tasks.__name__
"""Its tasks, and those that are shipped, are in every simulation, as they are on a worker."""


def simulated(pair: Pair, seed: int) -> Simulation:
    """Runs a pair to its end; `seed` draws the order of what happens at the same time."""
    graph, _ = load_flow(pair.text, pair.path.name)
    flows = {name: load_flow(text, name)[0] for name, text in pair.sub_flows.items()}
    name = pair.expect.name or DEFAULT_NAME
    outsider = Outsider(pair, name)
    scripted = {key: _function(script, outsider) for key, script in pair.scripts.items()}
    return simulate(
        graph,
        pair.input,
        tasks={**_registered(), **scripted},
        flows=flows,
        mocks=_mocks(pair, {pair.name: graph, **flows}),
        now=datetime.fromisoformat(pair.expect.now).timestamp() if pair.expect.now else NOW,
        seed=seed,
        flow_name=pair.name,
        execution_name=name,
        outside=outsider.plan,
    )


def _registered() -> dict[str, Callable[..., Any]]:
    """The stream tasks of the pairs and all shipped tasks."""
    shipped()
    return {
        name: one.call
        for name, one in tasks().items()
        if one.function.__module__.startswith(("tasks.", STREAM_TASKS))
    }


def _function(
    script: tuple[Answer, ...], outsider: Outsider
) -> Callable[[dict[str, Any], TaskContext], Any]:
    def answer(input: dict[str, Any], ctx: TaskContext) -> Any:
        outsider.keep_token(input, ctx.step, ctx.attempt)
        call = Call(input, ctx.step, ctx.execution, ctx.attempt)
        return perform(answer_to(call, script), call)

    return answer


def _mocks(pair: Pair, graphs: Mapping[str, Graph]) -> Mocks:
    """How long calls take and which workers die: what a plain function cannot show."""
    attempts = range(1, MOST_ATTEMPTS + 1)
    steps = {
        f"{flow}:{node.path}": tuple(_mock(pair, node, attempt) for attempt in attempts)
        for flow, graph in graphs.items()
        for node in graph.nodes.values()
        if isinstance(node.step, TaskStep)
    }
    needed = {name: entries for name, entries in steps.items() if any(map(_says, entries))}
    return Mocks(steps=needed)


def _says(mock: Mock) -> bool:
    return bool(mock.delay_s or mock.lost)


def _mock(pair: Pair, node: Node, attempt: int) -> Mock:
    script = [answer for answer in _script(pair, node) if answer.when is None]
    call = Call({}, node.step.name, attempt=attempt)
    answer = next((answer for answer in script if answer.fits(call)), Answer())
    if attempt <= answer.losses:
        return Mock(lost=True)
    return Mock(delay_s=answer.delay_s)


def _script(pair: Pair, node: Node) -> tuple[Answer, ...]:
    names = function_names(node.resource) if node.resource else ()
    return next((pair.scripts[name] for name in names if name in pair.scripts), ())
