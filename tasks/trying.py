"""Trying: runs a stream task on chunks in memory, for tests and for the shell."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.chunk import BytesLike, Chunk
from tasks.context import TaskContext
from tasks.errors import INVALID_ARGUMENT, TaskError
from tasks.registry import RegisteredTask, described, find


@dataclass(slots=True, kw_only=True)
class MemoryStream(TaskContext):
    """A context whose stream is in memory.

    Attributes:
        source: What `read` gives, once; plain bytes become chunks numbered from 1.
        written: What `write` was given, in order.
        keep: False drops what is written, for streams larger than memory.
    """

    source: Iterable[BytesLike] = ()
    written: list[Chunk] = field(default_factory=list)
    keep: bool = True
    _chunks: Iterator[Chunk] | None = None
    _writes: int = 0

    def read(self) -> Iterator[Chunk]:
        """The chunks of `source`; a second call goes on where the first one stopped."""
        if self._chunks is None:
            self._chunks = map(_numbered, enumerate(self.source, 1))
        return self._chunks

    def write(self, data: BytesLike, headers: Mapping[str, str] | None = None) -> None:
        """Appends to `written`. TypeError for what no stream can carry."""
        if not isinstance(data, BytesLike):
            raise TypeError(f"ctx.write() takes bytes, not {type(data).__name__}")
        headers = _headers(data) if headers is None else headers
        if any(not isinstance(text, str) for pair in headers.items() for text in pair):
            raise TypeError("headers of a chunk are texts by names that are texts")
        self._writes += 1
        if self.keep:
            self.written.append(Chunk(data, self._writes, headers))


def run_stream(
    function: Callable[..., Any] | str,
    input: Mapping[str, Any] | None = None,
    chunks: Iterable[BytesLike] = (),
    context: MemoryStream | None = None,
) -> tuple[list[Chunk], Any]:
    """Runs one stream task from its first chunk to its end, in this thread.

    Feed what it wrote to the next task to try several in a row.

    Args:
        function: A registered name, or the function itself.
        input: The stage's input.
        chunks: What the stage before would write; a Chunk keeps its headers.
        context: None makes one with an idempotency key of its own; give one to choose the key
            (a second run with it must write the same chunks) or the rest. Its `source` is set.

    Returns:
        What it wrote, and what it returned.

    Raises:
        TaskError: `FC.FunctionNotFound`, nothing of that name is registered;
            `FC.InvalidArgument`, the input does not fit, or the task is no stream task; and
            whatever the task raises.
    """
    registered = _registered(function)
    ctx = context if context is not None else MemoryStream(idempotency_key=uuid.uuid4().hex)
    ctx.source = chunks
    result = registered.call(dict(input or {}), ctx)
    return ctx.written, result


def _registered(function: Callable[..., Any] | str) -> RegisteredTask:
    if not isinstance(function, str):
        return described(getattr(function, "__name__", "task"), function)
    found = find([function])
    if found is None:
        raise TaskError("FC.FunctionNotFound", f"no task {function!r}; import its module")
    if not found.stream:
        raise TaskError(INVALID_ARGUMENT, f"{function!r} is not declared @task(…, stream=True)")
    return found


def _numbered(numbered: tuple[int, BytesLike]) -> Chunk:
    seq, data = numbered
    return Chunk(data, seq, _headers(data))


def _headers(data: BytesLike) -> Mapping[str, str]:
    return data.headers if isinstance(data, Chunk) else {}
