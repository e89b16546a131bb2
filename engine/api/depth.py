"""Depth: how deeply what comes in may be nested, so that it can be answered again."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError, to_json

T = TypeVar("T")

TOO_DEEP = "it is nested too deeply"

_AROUND = 8
"""Levels that an answer or an event puts around what came in."""


def check_depth(value: T) -> T:
    """The value itself. Raises ValueError: no answer of ours could hold it."""
    whole: Any = value
    for _ in range(_AROUND):
        whole = [whole]
    try:
        to_json(whole)
    except PydanticSerializationError:
        raise ValueError(TOO_DEEP) from None
    return value
