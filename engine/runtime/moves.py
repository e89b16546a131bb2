"""Moves: how a schedule goes on from a fire time to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Move:
    """A schedule that stands at `due` goes on to `next`; None: it fires no more. Seconds.

    `told`: fields of its record that say what became of `due`. `skipped`: it was left out.
    """

    flow: str
    name: str
    due: int
    next: int | None
    told: dict[str, str] = field(default_factory=dict)
    skipped: bool = False

    def order(self) -> dict[str, Any]:
        """The scripts' form of it."""
        order: dict[str, Any] = {
            "member": f"{self.flow}/{self.name}",
            "due": str(self.due * 1000),
            "fields": self.told,
        }
        if self.next is not None:
            order["next"] = str(self.next * 1000)
        if self.skipped:
            order["skipped"] = True
        return order
