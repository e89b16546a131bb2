"""The typed flow: what a parsed FDL v1 document is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
"""Any JSON value."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object: what every input and output is."""

TaskPattern = Literal["requestResponse", "sync", "waitForCallback"]

DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024
"""Bytes that may be under way on one edge of a stream, if the flow does not say."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands in its file: line and column, both from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Mapping:
    """One item of inputMappings or outputMappings.

    `source` is a constant of any JSON type, or a path text that begins with
    `$input`, `$local` or `$context`; a missing source is None.
    """

    target: str
    source: Any
    mark: Mark = field(default=Mark(), compare=False)


Mappings: TypeAlias = tuple[Mapping, ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits before retry n: min(interval_s * multiplier ** (n - 1), max_interval_s)."""

    errors: tuple[str, ...]
    interval_s: float = 1.0
    max_interval_s: float = 86400.0
    max_attempts: int = 3
    multiplier: float = 2.0
    jitter: bool = False


@dataclass(frozen=True, slots=True)
class Catcher:
    """Errors that go on at a sibling step instead of failing the step."""

    errors: tuple[str, ...]
    goto: str
    mark: Mark = field(default=Mark(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBase:
    """What all steps have in common. `None` mappings mean: the key was not there."""

    name: str
    end: bool = False
    input_mappings: Mappings | None = None
    output_mappings: Mappings | None = None
    mark: Mark = field(default=Mark(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptedStep(StepBase):
    """Runs on a worker, in attempts: what may be limited, tried again and caught.

    `timeout_s` is the limit of one attempt; None: no limit of its own.
    """

    timeout_s: float | None = None
    error_mappings: Mappings | None = None
    retry: tuple[RetryPolicy, ...] = ()
    catch: tuple[Catcher, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStep(AttemptedStep):
    """Runs a function, a sub-flow, a message or an action.

    Exactly one of `resource_arn` and `action` is set.
    """

    resource_arn: str | None = None
    action: str | None = None
    pattern: TaskPattern = "requestResponse"
    service_params: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One of the tasks of a stream, with its input from the stream's.

    Exactly one of `resource_arn` and `action` is set. `input_mappings` None: the whole input.
    """

    name: str
    resource_arn: str | None = None
    action: str | None = None
    input_mappings: Mappings | None = None
    concurrency: int = 1
    mark: Mark = field(default=Mark(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStep(AttemptedStep):
    """Runs its stages at the same time; bytes flow from each to the next.

    `source`, `sink`: an object's URI, or a path text into the step's input; None: the caller's
    bytes, if there is a caller. `fuse`: all stages in one process, or a process each; None: as
    the workers at hand suggest.
    """

    steps: tuple[Stage, ...] = ()
    source: str | None = None
    sink: str | None = None
    window_bytes: int = DEFAULT_WINDOW_BYTES
    fuse: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassStep(StepBase):
    """Only maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(StepBase):
    """Exactly one is set; text beginning with `$` is a path into the step's input."""

    duration: float | str | None = None
    timestamp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedStep(StepBase):
    """Ends its series, successfully."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailStep(StepBase):
    """Ends its series with an error. `error`, `cause`: constants or path texts."""

    error: str | None = None
    cause: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A choice's option: the default has no condition (None)."""

    condition: str | None
    steps: tuple[Step, ...] = ()
    goto: str | None = None
    mark: Mark = field(default=Mark(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceStep(StepBase):
    """Takes the first option whose condition is true, else the default."""

    choices: tuple[Option, ...] = ()
    default: Option | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelStep(StepBase):
    """Runs its branches at the same time."""

    branches: tuple[tuple[Step, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeachStep(StepBase):
    """Runs its steps once per element of a list.

    `collection` is a path into the step's input. `tolerated_failures` is a count;
    `tolerated_percent` a percentage of the collection (0-100); None: none given.
    """

    collection: str
    item: str
    index: str | None = None
    steps: tuple[Step, ...] = ()
    concurrency: int = 100
    batch: int | None = None
    tolerated_failures: int | None = None
    tolerated_percent: float | None = None


Step: TypeAlias = (
    TaskStep
    | StreamStep
    | PassStep
    | WaitStep
    | SucceedStep
    | FailStep
    | ChoiceStep
    | ParallelStep
    | ForeachStep
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A whole definition.

    `kept_turns`: the history keeps so many turns at its beginning and at its end; None: all.
    """

    steps: tuple[Step, ...]
    version: str = "v1"
    name: str | None = None
    input_mappings: Mappings | None = None
    output_mappings: Mappings | None = None
    timeout_s: float | None = None
    strict: bool = False
    kept_turns: int | None = None
