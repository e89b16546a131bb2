"""The names of a flow's steps: each once among its siblings, and where a goto may lead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.fdl.model import Mark
from engine.fdl.problems import Report
from engine.fdl.suggestions import did_you_mean
from engine.fdl.yaml_node import Node


def name_of(node: Node) -> str:
    """The name a step's node gives itself; empty when it has none."""
    entry = (node.entries or {}).get("name")
    return entry.value if entry is not None and isinstance(entry.value, str) else ""


@dataclass(frozen=True, slots=True)
class Siblings:
    """The names of one series, whether or not its steps are sound."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Siblings:
        """The siblings that the nodes of a series are."""
        return cls(tuple(name for node in nodes if (name := name_of(node))))


@dataclass(slots=True)
class StepNames:
    """All step names of a flow, with the place where each was met first."""

    first_marks: dict[str, Mark] = field(default_factory=dict)
    everywhere: frozenset[str] = frozenset()

    def check(self, nodes: Iterable[Node], report: Report) -> None:
        """Reports names that are there twice: an error in the series, else a warning."""
        here: dict[str, Mark] = {}
        for node in nodes:
            name = name_of(node)
            if not name or node.entries is None:
                continue
            mark = node.entries["name"].mark
            if name in here:
                text = f"{name}: two steps here have this name, the first in line {here[name].line}"
                report.error(mark, "DUPLICATE_NAME", text)
            elif name in self.first_marks and self.first_marks[name] != mark:
                first = self.first_marks[name].line
                text = f"{name}: the step in line {first} has this name too: hard to tell apart"
                report.warning(mark, "REPEATED_NAME", text)
            here.setdefault(name, mark)
            self.first_marks.setdefault(name, mark)

    def check_goto(
        self, goto: str, mark: Mark, step: str, siblings: Siblings, report: Report
    ) -> None:
        """Reports a goto that names no sibling of its step."""
        if goto in siblings.names:
            return
        hint = did_you_mean(goto, siblings.names)
        if goto in self.everywhere:
            hint = "; the step of that name is inside or outside of this series, out of reach"
        text = f"{step}: goto '{goto}' names no step here{hint}"
        report.error(mark, "UNKNOWN_STEP", text)


def all_names(root: Node) -> frozenset[str]:
    """Every name of something with a type in a document: the steps at any depth."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting.extend([*(node.items or ()), *(node.entries or {}).values()])
        if node is not root and "type" in (node.entries or {}) and (name := name_of(node)):
            found.add(name)
    return frozenset(found)
