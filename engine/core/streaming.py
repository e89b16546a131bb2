"""Streaming: what a stream step runs, and how its parts and its end are told (L11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from engine.core.outcomes import INVALID_ARGUMENT, Failure, named_failure
from engine.fdl.mappings import Roots, apply_mappings, resolve_reference
from engine.fdl.model import Stage, StreamStep
from engine.fdl.resources import Resource, StreamResource

SOURCE = "source"
SINK = "sink"
"""What the outer ends are called where an edge is named."""

TO_CALLER = "caller"
TO_NOBODY = "none"
"""Where the last bytes have gone, if not to an object: that is named by its URI."""


@dataclass(frozen=True, slots=True)
class StageCall:
    """What one task of a stream is called with; `concurrency`: how many of it run at once."""

    name: str
    resource: Resource
    input: dict[str, Any]
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class StreamCall:
    """What a stream step runs: its stages in their order, and its outer ends.

    `source`, `sink`: the URI of an object; None: the caller, if there is one. `fuse`: all stages
    in one process, or a process each; None: nothing is said. `refusal`: why it cannot be run; the
    attempt then fails with it.
    """

    stages: tuple[StageCall, ...]
    source: str | None
    sink: str | None
    window_bytes: int
    fuse: bool | None
    refusal: Failure | None = None


def stream_call(
    step: StreamStep,
    resource: StreamResource,
    given: dict[str, Any],
    context: dict[str, Any],
    strict: bool = False,
) -> StreamCall:
    """What a stream step runs with this input; `context` is its `$context`.

    Raises:
        InvalidPath: a path is not there, in a strict flow.
    """
    roots = Roots(given, {}, context)
    stages = zip(step.steps, resource.stages, strict=True)
    ends = {
        key: resolve_reference(text, given, strict)
        for key, text in ((SOURCE, step.source), (SINK, step.sink))
        if text is not None
    }
    wrong = next((key for key in ends if not _is_text(ends[key])), None)
    refusal = None if wrong is None else _no_text(step, wrong, ends[wrong])
    return StreamCall(
        tuple(_stage_call(stage, called, roots, strict) for stage, (_, called) in stages),
        None if refusal else ends.get(SOURCE),
        None if refusal else ends.get(SINK),
        step.window_bytes,
        step.fuse,
        refusal,
    )


def edges_of(names: Sequence[str], sourced: bool) -> tuple[tuple[str, str], ...]:
    """The edges of a stream with these stages, as (from, to), in their order.

    `sourced`: bytes come in from outside, from an object or the caller. The last stage's bytes are
    an edge too, wherever they go. An edge of several lanes is one.
    """
    return tuple(pairwise((*([SOURCE] if sourced else []), *names, SINK)))


def stage_failure(stage: StageCall, failure: Failure) -> Failure:
    """A stage's failure as that of its step: the cause says which stage it was."""
    named = named_failure(failure, stage.resource)
    return Failure(named.error, f"{stage.name}: {named.cause}" if named.cause else stage.name)


def stream_local(
    chunks: int, size: int, sha256: str | None, sink: str, steps: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """The local of a stream that has come to its end.

    `chunks`, `size` (in bytes) and `sha256` (hexadecimal; None: nobody has seen all bytes) tell of
    what has left the last stage;
    `sink` is a URI, `TO_CALLER` or `TO_NOBODY`; `steps` has the stages' results by name.
    """
    return {
        "bytes": size,
        "chunks": chunks,
        "sha256": sha256,
        "sink": sink,
        "steps": dict(steps),
    }


def _stage_call(stage: Stage, resource: Resource, roots: Roots, strict: bool) -> StageCall:
    given = roots.input
    if stage.input_mappings is not None:
        given = apply_mappings(stage.input_mappings, roots, strict)
    return StageCall(stage.name, resource, given, stage.concurrency)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _no_text(step: StreamStep, key: str, value: Any) -> Failure:
    written = step.source if key == SOURCE else step.sink
    what = "is not there" if value is None else f"is of type {type(value).__name__}"
    what = "is empty" if value == "" else what
    return Failure(INVALID_ARGUMENT, f"{step.name}: {key} {written} {what}; it must be a URI")
