"""Figures: what executions have been through, one of them or all that this store has had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.runtime.runtime import Runtime

FIELDS: Mapping[str, str] = {
    "duplicates_absorbed": "duplicates",
    "stale_refused": "refused",
    "handovers": "handovers",
    "redispatches": "redispatches",
}
"""Where the scripts count each figure: a field of the record, and of the sum of all executions."""


@dataclass(frozen=True, slots=True)
class Report:
    """What went wrong around an execution and did it no harm (docs/operations.md, "Figures").

    `duplicates_absorbed`: messages that found nothing to do any more. `stale_refused`: results
    that came too late. `handovers`: steps and batches that were taken from a lost worker.
    `redispatches`: messages that were sent again because nobody had claimed them.
    """

    duplicates_absorbed: int = 0
    stale_refused: int = 0
    handovers: int = 0
    redispatches: int = 0


def report_of(record: Mapping[str, str]) -> Report:
    """The report of an execution, out of its record."""
    return Report(**{figure: int(record.get(field, 0)) for figure, field in FIELDS.items()})


def totals(runtime: Runtime) -> dict[str, int]:
    """Each figure of a Report, of all executions since the store was made. Cost: O(1)."""
    fields = list(FIELDS.values())
    counts: Any = runtime.store.redis.hmget(runtime.store.keys.figures, fields)
    return {figure: int(count or 0) for figure, count in zip(FIELDS, counts, strict=True)}
