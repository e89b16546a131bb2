"""Exit codes: what the command line answers to an error, and the lines it says."""

from __future__ import annotations

from engine.errors import (
    AccessKeyNotExists,
    EngineError,
    ExecutionAlreadyExists,
    ExecutionFailed,
    ExecutionNotExists,
    FlowAliasAlreadyExists,
    FlowAliasNotExists,
    FlowAlreadyExists,
    FlowInvalid,
    FlowNotExists,
    FlowVersionInUse,
    FlowVersionNotExists,
    InvalidArgument,
    MapRunNotExists,
    ScheduleAlreadyExists,
    ScheduleNotExists,
    StoreUnavailable,
)

FAILED = 1
BAD_INPUT = 2
NO_REDIS = 3

_BAD_INPUT = (
    InvalidArgument,
    FlowNotExists,
    FlowAlreadyExists,
    ExecutionNotExists,
    ExecutionAlreadyExists,
    FlowVersionNotExists,
    FlowVersionInUse,
    FlowAliasNotExists,
    FlowAliasAlreadyExists,
    ScheduleNotExists,
    ScheduleAlreadyExists,
    MapRunNotExists,
    AccessKeyNotExists,
)


def exit_code(error: EngineError) -> int:
    """3 without a usable Redis, 2 for what the caller named or wrote wrongly, 1 for the rest."""
    if isinstance(error, StoreUnavailable):
        return NO_REDIS
    return BAD_INPUT if isinstance(error, _BAD_INPUT) else FAILED


def lines_of(error: EngineError) -> tuple[str, ...]:
    """The lines for stderr: each problem of a flow, else what the error says, with our name."""
    if isinstance(error, FlowInvalid):
        return tuple(str(problem) for problem in error.problems)
    plain = isinstance(error, InvalidArgument | StoreUnavailable | ExecutionFailed)
    name = "penstock" if plain else f"penstock: {error.code}"
    return tuple(f"{name}: {line}" for line in str(error).splitlines())
