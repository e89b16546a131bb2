"""Every pair of `tests/flows` in the simulator: what a flow does, whatever happens first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.core.checks import check_flow
from engine.core.history import normalise
from engine.fdl.problems import Problem, Severity
from engine.simulate.simulator import Simulation
from tests.fundamentals.pairs import Pair, invalid_pairs, simulated_pairs, valid_pairs
from tests.fundamentals.simulated import simulated
from tests.fundamentals.unexpected import unexpected


@pytest.mark.parametrize("pair", invalid_pairs(), ids=lambda pair: pair.name)
def test_a_flow_with_mistakes_is_refused_with_all_of_them(pair: Pair) -> None:
    problems = check_flow(pair.text, pair.path.name)
    assert _mismatches(pair.expect.invalid, problems, "error") == []


@pytest.mark.parametrize("pair", valid_pairs(), ids=lambda pair: pair.name)
def test_a_flow_without_mistakes_is_accepted_with_its_warnings(pair: Pair) -> None:
    problems = check_flow(pair.text, pair.path.name)
    assert [str(problem) for problem in problems if problem.is_error] == []
    assert _mismatches(pair.expect.warnings, problems, "warning") == []


@pytest.mark.parametrize("pair", simulated_pairs(), ids=lambda pair: pair.name)
def test_a_flow_does_what_its_pair_says_whatever_happens_first(pair: Pair) -> None:
    runs = [simulated(pair, seed) for seed in range(pair.expect.seeds)]
    for seed, run in enumerate(runs):
        assert _unexpected(pair, run) == [], f"seed {seed}"
    if pair.expect.race is None:
        first = normalise(runs[0].history)
        for seed, run in enumerate(runs):
            assert normalise(run.history) == first, f"seed {seed} has another history than seed 0"


def _unexpected(pair: Pair, run: Simulation) -> list[str]:
    """What a run did otherwise than its pair says, its children included."""
    children = {f"{child.flow_name}/{child.execution_name}": child for child in run.children}
    found = [
        f"child {name}: {children.get(name)}, wanted {status}"
        for name, status in pair.expect.children.items()
        if name not in children or children[name].status != status
    ]
    return found + unexpected(pair, run, run.history)


def _mismatches(
    wanted: Sequence[str], problems: Sequence[Problem], severity: Severity
) -> list[str]:
    """Problems that are missing, wrong or too many, in the order of the file."""
    found = [problem for problem in problems if problem.severity == severity]
    if len(found) != len(wanted):
        return [f"wanted {len(wanted)} of: {[str(problem) for problem in found]}"]
    return [
        f"wanted {text!r}, got {problem}"
        for text, problem in zip(wanted, found, strict=True)
        if not _is(text, problem)
    ]


def _is(wanted: str, problem: Problem) -> bool:
    place, code, *part = wanted.split(" ", 2)
    where = f"{problem.line}:{problem.column}"
    return (place, code) == (where, problem.code) and all(text in problem.text for text in part)
