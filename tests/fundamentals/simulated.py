"""A pair in the simulator: its flows, scripted tasks, reports and stop in a virtual world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from engine.core.checks import load_flow
from engine.core.graph import Graph, Node
from engine.core.history import NormalEvent, normalise
from engine.fdl.model import TaskStep
from engine.simulate.attempts import function_names
from engine.simulate.mocks import Mock, MockReport, Mocks
from engine.simulate.simulator import Simulation, simulate
from tasks import TaskContext
from tests.fundamentals.answers import Answer, Call, answer_to, perform
from tests.fundamentals.pairs import Pair

NOW = 1_800_000_000.0
MOST_ATTEMPTS = 10


def simulated(pair: Pair, seed: int) -> Simulation:
    """Runs a pair to its end; `seed` draws the order of what happens at the same time."""
    graph, _ = load_flow(pair.text, pair.path.name)
    flows = {name: load_flow(text, name)[0] for name, text in pair.sub_flows.items()}
    return simulate(
        graph,
        pair.input,
        tasks=scripted(pair),
        flows=flows,
        mocks=_mocks(pair, {pair.name: graph, **flows}),
        now=datetime.fromisoformat(pair.expect.now).timestamp() if pair.expect.now else NOW,
        seed=seed,
        flow_name=pair.name,
        execution_name=pair.expect.name or "simulation",
    )


def frames_of(run: Simulation) -> dict[str, list[NormalEvent]]:
    """The normalised history of a simulation."""
    return normalise(run.history, hide=lambda text: text.startswith("simulated:"))


def scripted(pair: Pair) -> dict[str, Callable[[dict[str, Any], TaskContext], Any]]:
    """The functions of a pair's tasks by their registered names."""
    return {resource: _function(script) for resource, script in pair.scripts.items()}


def _function(script: tuple[Answer, ...]) -> Callable[[dict[str, Any], TaskContext], Any]:
    def answer(input: dict[str, Any], ctx: TaskContext) -> Any:
        call = Call(input, ctx.step, ctx.execution, ctx.attempt)
        return perform(answer_to(call, script), call)

    return answer


def _mocks(pair: Pair, graphs: Mapping[str, Graph]) -> Mocks:
    """How long calls take, which workers die, and who reports: what functions cannot show."""
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
    return bool(mock.delay_s or mock.lost or mock.report)


def _mock(pair: Pair, node: Node, attempt: int) -> Mock:
    step = node.step.name
    report = _report(pair, step, attempt)
    script = [answer for answer in _script(pair, node) if answer.when is None]
    call = Call({}, step, attempt=attempt)
    answer = next((answer for answer in script if answer.fits(call)), Answer())
    if attempt <= answer.losses:
        return Mock(lost=True)
    return Mock(delay_s=answer.delay_s, report=report)


def _script(pair: Pair, node: Node) -> tuple[Answer, ...]:
    names = function_names(node.resource) if node.resource else ()
    return next((pair.scripts[name] for name in names if name in pair.scripts), ())


def _report(pair: Pair, step: str, attempt: int) -> MockReport | None:
    for report in pair.reports:
        if (report.step, report.attempt) == (step, attempt) and report.refused is None:
            failed = report.failed or {}
            return MockReport(
                output=report.succeeded,
                error=failed.get("error"),
                cause=failed.get("cause", ""),
            )
    return None
