"""Checks: what is wrong with a flow as a whole, and loading one that has passed them."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.graph import Graph, build_graph, sub_series
from engine.core.reach import Known, Reach, reach_of
from engine.errors import FlowInvalid
from engine.fdl.model import Flow, Step
from engine.fdl.parser import parse_in_part
from engine.fdl.problems import Problem, Report

INSIDE_A_STEP = frozenset(
    {"UNKNOWN_KEY", "BAD_PATH", "BAD_RESOURCE", "CONFLICTING_KEYS", "NOT_IN_STREAM"}
)
"""Errors that leave the ways between the steps as they are: the graph is checked all the same."""


def load_flow(text: str, file: str = "<flow>") -> tuple[Graph, tuple[Problem, ...]]:
    """Reads and checks a flow; returns its graph and the warnings.

    Raises:
        FlowInvalid: it has errors; all problems of its text and of its graph are in there.
    """
    flow, problems = _read(text, file)
    if flow is None or any(problem.is_error for problem in problems):
        raise FlowInvalid(problems)
    return build_graph(flow), problems


def check_flow(text: str, file: str = "<flow>") -> tuple[Problem, ...]:
    """All problems of a flow, errors and warnings, in the order of the file."""
    return _read(text, file)[1]


def graph_problems(flow: Flow, file: str = "<flow>") -> tuple[Problem, ...]:
    """Endless loops (errors) and steps out of reach (warnings) of a flow that was parsed."""
    report = Report(file)
    known: Known = {}
    for steps in _all_series(flow.steps):
        _check_ways(report, reach_of(steps, known))
    return report.in_order()


def _read(text: str, file: str) -> tuple[Flow | None, tuple[Problem, ...]]:
    flow, problems = parse_in_part(text, file)
    errors = {problem.code for problem in problems if problem.is_error}
    ways_are_known = flow is not None and errors <= INSIDE_A_STEP
    found = graph_problems(flow, file) if flow is not None and ways_are_known else ()
    return (None if errors else flow), tuple(sorted({*problems, *found}))


def _all_series(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    yield steps
    for step in steps:
        for _, inner in sub_series(step, step.name):
            yield from _all_series(inner)


def _check_ways(report: Report, reach: Reach) -> None:
    for step in reach.unreached:
        text = f"{step.name}: no step leads here, so it never runs"
        report.warning(step.mark, "UNREACHABLE_STEP", text)
    if reach.stuck:
        names = ", ".join(step.name for step in reach.stuck)
        text = f"{names}: a loop that never ends, with no task or wait in it; add a way out"
        report.error(reach.stuck[0].mark, "ENDLESS_LOOP", text)
