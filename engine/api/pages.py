"""Pages of what is listed by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

from fastapi import Query

from engine.errors import FlowNotExists
from engine.runtime.definitions import FlowRecord
from engine.runtime.engine import Engine
from engine.runtime.health import redis_errors

T = TypeVar("T")

LISTED = 100
Limit = Annotated[int, Query(ge=1, le=1000)]
"""A route's parameter: how many things a page has."""


def page_of(rows: Iterable[tuple[str, T]], after: str, limit: int) -> tuple[list[T], str]:
    """The next `limit` of rows with rising names, and the token of the page behind; "" if none."""
    left = [row for row in rows if row[0] > after]
    page = left[:limit]
    return [value for _, value in page], page[-1][0] if len(left) > limit else ""


@redis_errors()
def page_of_flows(engine: Engine, after: str, limit: int) -> tuple[list[FlowRecord], str]:
    """Flows by name, as `page_of`. Cost: O(names of all flows) and the page."""
    definitions = engine.runtime.definitions
    names, token = page_of([(name, name) for name in definitions.names()], after, limit)
    flows = []
    for name in names:
        try:
            flows.append(definitions.describe(name))
        except FlowNotExists:  # taken away meanwhile
            continue
    return flows, token
