"""Decisions for tests: flows from a few lines of text, decided on one happening after another."""

from __future__ import annotations

from typing import Any

from engine.core.checks import load_flow
from engine.core.commands import Decision
from engine.core.graph import Graph
from engine.core.happenings import Happening, RunInfo
from engine.core.scheduler import begin, decide, open_root

RUN = RunInfo(
    "orders", "e-1", lambda frame: f"token-{frame.step.attempt if frame.step else 0}", now=1000.0
)

TASK = """
- type: task
  name: pay
  resourceArn: pay
"""


def graph_of(steps: str, head: str = "") -> Graph:
    return load_flow(f"version: v1\ntype: flow\n{head}\nsteps:\n{steps}")[0]


def first(graph: Graph, **given: Any) -> Decision:
    return begin(graph, open_root(graph, given), RUN)


def after(graph: Graph, decision: Decision, *happenings: Happening) -> Decision:
    for happening in happenings:
        decision = decide(graph, decision.frame, happening, RUN)
    return decision


def facts(decision: Decision) -> list[str]:
    return [f"{event.type} {event.step_name}".strip() for event in decision.events]
