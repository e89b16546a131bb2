"""A problem: one thing that is wrong, or looks wrong, at one place of a flow file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.fdl.model import Mark

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something to tell the author of a flow; problems sort by their place in the file.

    `line` and `column` count from 1. `code` is stable, upper case with underscores; `text` is
    for people and names the thing and the way out.
    """

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.code} {self.text}"

    @property
    def is_error(self) -> bool:
        """True when the flow cannot be deployed with it."""
        return self.severity == "error"


@dataclass(slots=True)
class Report:
    """Collects the problems of one file while it is read."""

    file: str
    problems: set[Problem] = field(default_factory=set)

    def error(self, mark: Mark, code: str, text: str) -> None:
        """Adds an error; the same one at the same place is kept once."""
        self._add(mark, "error", code, text)

    def warning(self, mark: Mark, code: str, text: str) -> None:
        """Adds a warning; the same one at the same place is kept once."""
        self._add(mark, "warning", code, text)

    def in_order(self) -> tuple[Problem, ...]:
        """Everything collected, in the order of the file."""
        return tuple(sorted(self.problems))

    @property
    def failed(self) -> bool:
        """True when there is an error among the problems."""
        return any(problem.is_error for problem in self.problems)

    def _add(self, mark: Mark, severity: Severity, code: str, text: str) -> None:
        # A set: an aliased part of a document is read once per use, its problems are the same.
        problem = Problem(self.file, mark.line, mark.column, severity, code, _printable(text))
        self.problems.add(problem)


def _printable(text: str) -> str:
    """The text on one line: what it quotes from a file may hold line breaks and worse."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
