"""Places: which step of the text an event tells of, by its frame and the step's name."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.graph import Graph, sub_series
from engine.fdl.model import ForeachStep, ParallelStep


class Places:
    """Finds the steps of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._paths: dict[str, dict[str, str]] = {}
        for place, name, path in _steps_by_place(graph, "", ""):
            self._paths.setdefault(place, {}).setdefault(name, path)

    def path_of(self, frame: str, name: str) -> str | None:
        """The path of the step `name` as the frame sees it; None if the flow has no such step."""
        place = ""
        for segment in frame.split("/") if frame else ():
            branch = f"{place}/{segment}"
            place = branch if branch in self._paths else f"{place}/{segment.rpartition('.')[0]}.*"
        return self._paths.get(place, {}).get(name)


def _steps_by_place(graph: Graph, series: str, place: str) -> Iterator[tuple[str, str, str]]:
    """(place, step name, path): a place stands for all frames that walk a series alike."""
    for path, node in graph.nodes.items():
        if node.series != series:
            continue
        yield place, node.step.name, path
        for number, (inner, _) in enumerate(sub_series(node.step, path)):
            match node.step:
                case ForeachStep():
                    yield from _steps_by_place(graph, inner, f"{place}/{node.step.name}.*")
                case ParallelStep():
                    yield from _steps_by_place(graph, inner, f"{place}/{node.step.name}.{number}")
                case _:
                    yield from _steps_by_place(graph, inner, place)
