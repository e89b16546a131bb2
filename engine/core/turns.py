"""Turns: how often a flow has gone back among its own steps, and which of them a history keeps."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.events import Event
from engine.core.frame import Frame
from engine.core.graph import Graph

NOWHERE = -1
"""The place of a frame that has not entered a step yet."""


def place_of(graph: Graph, path: str) -> int:
    """The position of the step of the flow's own series that a path leads to or into.

    NOWHERE if there is none: a redrive leads away from a step that the newer definition lacks.
    """
    top = path.partition("/")[0]
    return next((at for at, step in enumerate(graph.flow.steps) if step.name == top), NOWHERE)


def place_in(graph: Graph, frame: Frame) -> int:
    """The position of the flow's own step that a root frame is in; NOWHERE before the first."""
    opened = frame.choices[0] if frame.choices else frame.step
    return NOWHERE if opened is None else place_of(graph, opened.path)


def first_and_last(history: Sequence[Event], begins: Sequence[int], kept: int) -> list[Event]:
    """The events of the first and the last `kept` turns (L10.14).

    `begins` has the ids of the events with which the second turn and every later one begins.
    """
    if len(begins) < 2 * kept:
        return list(history)
    middle, rest = begins[kept - 1], begins[-kept]
    return [event for event in history if not middle <= event.event_id < rest]
