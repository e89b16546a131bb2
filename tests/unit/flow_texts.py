"""Short flows as texts, and what the parser finds in them."""

from __future__ import annotations

from engine.fdl.model import (
    Step,
)
from engine.fdl.parser import parse_flow, parse_with_warnings

HEAD = "version: v1\ntype: flow\n"


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in parse_with_warnings(text, "f.yml")[1]]


def step_of(text: str) -> Step:
    """The only step of a flow; `text` is its keys, in flow style."""
    return parse_flow(f"{HEAD}steps:\n  - {{name: s, {text}}}\n").steps[0]


def step_problems(text: str) -> list[str]:
    """The problems of a flow with a step of that text, without their places."""
    lines = problems_of(f"{HEAD}steps:\n  - {{name: s, {text}}}\n  - {{type: pass, name: next}}\n")
    return [line.split(": ", 1)[1] for line in lines]


def codes_of(text: str) -> list[str]:
    return [problem.split()[1] for problem in step_problems(text)]
