"""Figures: what a benchmark has measured, and whether it is good enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report. `text` says what was measured; `value` is held against the gates.

    `at_most`, `at_least`: None is no gate. `aim` is what is hoped for.
    """

    name: str
    text: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    aim: str = ""

    @property
    def ok(self) -> bool:
        """True when no gate is missed."""
        under = self.at_most is None or self.value <= self.at_most
        return under and (self.at_least is None or self.value >= self.at_least)

    def __str__(self) -> str:
        gates = []
        if self.at_most is not None:
            gates.append(f"at most {self.at_most:g}")
        if self.at_least is not None:
            gates.append(f"at least {self.at_least:g}")
        if self.aim:
            gates.append(f"aim {self.aim}")
        gate = f"  [{', '.join(gates)}]" if gates else ""
        verdict = "  ok" if self.ok else "  MISSED"
        return f"{self.name:<28} {self.text}{gate}{verdict if gates else ''}"


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int, at_most_s: float
) -> list[tuple[float, float]]:
    """Measures both in turns: so many rounds, or as many as begin within a time."""
    ends = time.monotonic() + at_most_s
    pairs = [(ours(), theirs())]
    while len(pairs) < rounds and time.monotonic() < ends:
        pairs.append((ours(), theirs()))
    return pairs


def median_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """The median of the rounds' ratios: each round's two measurements share its disturbances."""
    return median(ours / theirs for ours, theirs in pairs)


def medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median of each side of the rounds."""
    return median(ours for ours, _ in pairs), median(theirs for _, theirs in pairs)
