"""log:filter: keeps the lines of a log that somebody looks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeAlias

from pydantic import Field, field_validator

from tasks.bytes.inputs import StageInput
from tasks.context import TaskContext
from tasks.registry import task
from tasks.text.levels import LEVELS, LevelFilter
from tasks.text.lines import MAX_LINE_BYTES, lines
from tasks.text.matching import Matcher

Condition: TypeAlias = Callable[[list[bytes]], list[bool]]


class FilterInput(StageInput):
    """Input of log:filter. A line is kept when it meets every condition that is given.

    Attributes:
        contains: A text, or several of which the line has one.
        matches: A pattern of Python's `re` that is found in the line.
        level: The least severe level, a name of `tasks.text.levels.LEVELS`.
        invert: Keeps the other lines instead.
        limit: The most lines to keep; the rest is only counted.
        max_line_bytes: The longest line.
    """

    contains: tuple[str, ...] = ()
    matches: str | None = None
    level: str | None = None
    invert: bool = False
    limit: int | None = Field(default=None, ge=0)
    max_line_bytes: int = Field(default=MAX_LINE_BYTES, ge=1, le=64 * 1024 * 1024)

    @field_validator("contains", mode="before")
    @classmethod
    def _one_is_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("level")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value.lower() not in LEVELS:
            raise ValueError(f"{value!r} is none of {', '.join(LEVELS)}")
        return value and value.lower()


@task("log:filter", stream=True)
def filter_lines(input: FilterInput, ctx: TaskContext) -> dict[str, int]:
    """Writes the lines that are kept as they are, as soon as their chunk has been read.

    Returns:
        How many lines it has read and kept: `lines_in` and `lines_out`.

    Raises:
        TaskError: `LineTooLong`, `PatternTooSlow`, `FC.InvalidArgument`.
    """
    lines_in = lines_out = 0
    with ExitStack() as stack:
        conditions = _conditions(input, stack)
        for batch in lines(ctx.read(), input.max_line_bytes):
            lines_in += len(batch)
            room = None if input.limit is None else input.limit - lines_out
            kept = _kept(batch, conditions, input.invert)[:room] if room != 0 else []
            lines_out += len(kept)
            if kept:
                ctx.write(b"".join(kept))
    return {"lines_in": lines_in, "lines_out": lines_out}


def _conditions(input: FilterInput, stack: ExitStack) -> list[Condition]:
    found: list[Condition] = []
    if input.contains:
        found.append(
            _containing(tuple(text.encode("utf-8", "surrogatepass") for text in input.contains))
        )
    if input.level is not None:
        found.append(LevelFilter(input.level))
    if input.matches is not None:
        found.append(stack.enter_context(Matcher(input.matches)))
    return found


def _containing(texts: tuple[bytes, ...]) -> Condition:
    return lambda lines: [any(text in line for text in texts) for line in lines]


def _kept(batch: list[bytes], conditions: list[Condition], invert: bool) -> list[bytes]:
    met = [True] * len(batch)
    for condition in conditions:
        met = [one and other for one, other in zip(met, condition(batch), strict=True)]
    return [line for line, yes in zip(batch, met, strict=True) if yes is not invert]
