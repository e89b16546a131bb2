"""The rules of docs/language.md and the pairs that show them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.core.checks import check_flow
from tests.fundamentals.pairs import EXPECTATION, FLOWS, Pair, all_pairs, valid_pairs

LANGUAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"
RULE = re.compile(r"^- \*\*(L\d+\.\d+)\*\*", re.MULTILINE)
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def rules() -> list[str]:
    """The numbers of all rules, in the order of the document."""
    return RULE.findall(LANGUAGE.read_text())


def examples() -> list[str]:
    """The flows that the document shows."""
    return EXAMPLE.findall(LANGUAGE.read_text())


def test_rules_are_numbered_without_gaps() -> None:
    numbers = [tuple(map(int, rule[1:].split("."))) for rule in rules()]
    for chapter in {chapter for chapter, _ in numbers}:
        inside = [number for part, number in numbers if part == chapter]
        assert inside == list(range(1, len(inside) + 1)), f"chapter {chapter}"


def test_every_rule_has_a_pair_that_shows_it() -> None:
    shown = {rule for pair in all_pairs() for rule in pair.expect.rules}
    assert [rule for rule in rules() if rule not in shown] == []


@pytest.mark.parametrize("pair", all_pairs(), ids=lambda pair: pair.name)
def test_a_pair_names_rules_that_exist(pair: Pair) -> None:
    assert pair.expect.rules
    assert sorted(set(pair.expect.rules) - set(rules())) == []


def test_every_flow_file_has_its_expectation() -> None:
    flows = {path.stem for path in FLOWS.glob("*.yml") if not path.name.endswith(EXPECTATION)}
    assert flows == {pair.name for pair in all_pairs()}


def test_every_sub_flow_file_belongs_to_a_pair() -> None:
    files = {f"children/{path.name}" for path in (FLOWS / "children").glob("*.yml")}
    assert files == {file for pair in all_pairs() for file in pair.expect.flows.values()}


def test_a_flow_and_a_task_name_one_script() -> None:
    """A worker finds a script by the flow and the task it runs for."""
    owners: dict[tuple[str, str], list[str]] = {}
    for pair in all_pairs():
        for flow in (pair.name, *pair.expect.flows):
            for resource in pair.expect.tasks:
                owners.setdefault((flow, resource), []).append(pair.name)
    assert {place: names for place, names in owners.items() if len(names) > 1} == {}


def test_a_pair_either_runs_or_is_refused() -> None:
    for pair in all_pairs():
        assert bool(pair.expect.invalid) != bool(pair.expect.status), pair.name


def test_only_a_few_pairs_need_the_simulator() -> None:
    only = [pair.name for pair in valid_pairs() if pair.expect.simulate_only]
    assert len(only) <= 10, only


@pytest.mark.parametrize("text", examples())
def test_examples_of_the_document_are_flows(text: str) -> None:
    assert [str(problem) for problem in check_flow(text, "docs/language.md")] == []
