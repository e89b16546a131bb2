"""Checks of a flow as a whole."""

from __future__ import annotations

import pytest

from engine.core.checks import check_flow, load_flow
from engine.errors import FlowInvalid

HEAD = "version: v1\ntype: flow\nsteps:\n"


def problems_of(steps: str) -> list[str]:
    return [str(problem) for problem in check_flow(HEAD + steps, "f.yml")]


def codes_of(steps: str) -> list[str]:
    return [problem.code for problem in check_flow(HEAD + steps)]


def test_a_step_behind_the_end_of_a_series_is_a_warning_at_its_place() -> None:
    found = problems_of("- {type: succeed, name: a}\n- {type: pass, name: b}\n")
    assert found == ["f.yml:5:3: warning: UNREACHABLE_STEP b: no step leads here, so it never runs"]


@pytest.mark.parametrize(
    "steps",
    [
        "- {type: choice, name: c, choices: [{condition: $.x == 1, goto: b}]}\n"
        "- {type: pass, name: a, end: true}\n- {type: pass, name: b}\n",
        "- {type: task, name: a, resourceArn: t, end: true, catch: [{errors: [E], goto: b}]}\n"
        "- {type: pass, name: b}\n",
        "- {type: choice, name: c, default: {steps: [{type: succeed, name: s}]}}\n"
        "- {type: pass, name: b}\n",
    ],
)
def test_what_a_goto_or_an_option_leads_to_is_reached(steps: str) -> None:
    assert codes_of(steps) == []


def test_behind_a_choice_whose_options_all_fail_nothing_is_reached() -> None:
    steps = "- {type: choice, name: c, default: {steps: [{type: fail, name: f}]}}\n"
    assert codes_of(steps + "- {type: pass, name: b}\n") == ["UNREACHABLE_STEP"]


@pytest.mark.parametrize(
    "choice",
    [
        "choices: [{condition: $.x == 1, goto: a}], default: {goto: c}",
        "choices: [{condition: 1 == 1, goto: a}]",
        "default: {goto: a, steps: [{type: pass, name: in}]}",
    ],
)
def test_a_loop_without_work_and_without_a_way_out_is_an_error(choice: str) -> None:
    steps = f"- {{type: pass, name: a}}\n- {{type: choice, name: c, {choice}}}\n"
    assert codes_of(steps) == ["ENDLESS_LOOP"]
    with pytest.raises(FlowInvalid, match="ENDLESS_LOOP"):
        load_flow(HEAD + steps)


@pytest.mark.parametrize(
    "choice",
    [
        "choices: [{condition: $.x == 1, goto: a}]",
        "default: {goto: a, steps: [{type: wait, name: w, duration: 1}]}",
        "choices: [{condition: 1 == 2, goto: b}, {condition: $.y, steps: [{type: fail, name: f}]}],"
        " default: {goto: a}",
    ],
)
def test_a_loop_with_work_or_a_way_out_is_none(choice: str) -> None:
    steps = f"- {{type: pass, name: a}}\n- {{type: choice, name: c, {choice}}}\n"
    assert "ENDLESS_LOOP" not in codes_of(steps + "- {type: pass, name: b}\n")


def test_loops_inside_options_and_branches_are_found_too() -> None:
    loop = "[{type: choice, name: again, default: {goto: again}}]"
    steps = f"- {{type: parallel, name: p, branches: [{{steps: {loop}}}]}}\n"
    assert codes_of(steps) == ["ENDLESS_LOOP"]


def test_deep_nesting_is_checked_in_no_time() -> None:
    steps = "[{type: pass, name: x}]"
    for depth in range(20):
        steps = f"[{{type: choice, name: c{depth}, default: {{steps: {steps}}}}}]"
    assert codes_of("- " + steps[1:-1] + "\n") == []
