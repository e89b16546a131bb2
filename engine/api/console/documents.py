"""Documents: pictures as they are sent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.api.console.layout import lay_out
from engine.api.console.snapshot import View
from engine.core.graph import Graph
from engine.core.places import Places
from engine.errors import InvalidArgument
from engine.fdl.model import ForeachStep, TaskStep


def picture_of(view: View) -> dict[str, Any]:
    """The picture of what a view's frame walks, with what its steps allow to be done.

    Raises:
        InvalidArgument: the flow has no such frame.
    """
    series = series_of(view.graph, view.frame)
    told = asdict(lay_out(view.graph, series))
    for shape in told["shapes"]:
        node = view.graph.nodes.get(shape["path"])
        if node is not None and isinstance(node.step, TaskStep):
            shape["callback"] = node.step.pattern == "waitForCallback"
    return told


def flow_picture_of(graph: Graph) -> dict[str, Any]:
    """The picture of a flow that nobody need run."""
    return asdict(lay_out(graph))


def series_of(graph: Graph, frame: str) -> str:
    """The series that a frame walks: the flow's, a branch's or an iteration's."""
    if not frame:
        return ""
    parent, _, segment = frame.rpartition("/")
    name, _, index = segment.rpartition(".")
    path = Places(graph).path_of(parent, name)
    node = graph.nodes.get(path or "")
    inner = "steps" if node and isinstance(node.step, ForeachStep) else f"branches/{index}"
    if path is None or f"{path}/{inner}" not in graph.series:
        raise InvalidArgument(f"the flow has no frame {frame!r}")
    return f"{path}/{inner}"
