"""Ways: which lines of a picture have been gone, as the order of visits tells."""

from __future__ import annotations

from collections.abc import Iterable

from engine.api.console.layout import END, START
from engine.api.console.visits import CAUGHT, Visit
from engine.core.graph import Graph
from engine.fdl.model import ChoiceStep, ParallelStep

NEXT, BY_CATCH = ">", "!"


def ways_taken(graph: Graph, visits: Iterable[Visit], frame: str, ended_well: bool) -> list[str]:
    """The ways of a frame's picture, each `from>to`, or `from!to` after a caught failure.

    From and to are paths, or the picture's start and end.
    """
    taken: set[str] = set()
    last: dict[tuple[str, str], Visit] = {}
    own = ""
    for visit in visits:
        node = graph.node(visit.path)
        if isinstance(node.step, ChoiceStep | ParallelStep):
            # Its series begin anew.
            last = {key: each for key, each in last.items() if not _below(key[1], visit.path)}
        place = (visit.frame, node.series)
        if visit.frame == frame and not own:
            own = node.series
        before = last.get(place)
        if before is not None:
            taken.add(_way(before, visit.path))
        elif place == (frame, own):
            taken.add(f"{START}{NEXT}{visit.path}")
        last[place] = visit
    if ended_well:
        before = last.get((frame, own))
        taken.add(_way(before, END) if before is not None else f"{START}{NEXT}{END}")
    return sorted(taken)


def _way(before: Visit, target: str) -> str:
    return f"{before.path}{BY_CATCH if before.state == CAUGHT else NEXT}{target}"


def _below(series: str, path: str) -> bool:
    return series.startswith(f"{path}/")
