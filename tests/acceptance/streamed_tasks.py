"""Stages of the acceptance tests of streams: bytes that can be foretold, and traces of who ran."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.errors import StreamCancelled
from tasks import TaskContext, TaskError, task

NUMBER_BYTES = 8


def numbered(number: int, size: int) -> bytes:
    """Chunk `number` of a stream, of `size` bytes; it begins with its number."""
    return number.to_bytes(NUMBER_BYTES, "big") + bytes([number % 251]) * (size - NUMBER_BYTES)


def mixed(chunk: bytes) -> bytes:
    """What the stateless stage makes of a chunk: as large, and other bytes but for the number."""
    return chunk[:NUMBER_BYTES] + hashlib.sha256(chunk).digest() + chunk[NUMBER_BYTES + 32 :]


def chained(chunks: list[bytes]) -> Iterator[bytes]:
    """What the stage with a state makes of chunks: each ends with the hash of all so far."""
    sha = hashlib.sha256()
    for chunk in chunks:
        sha.update(chunk)
        yield chunk + sha.digest()


def _trace(input: dict[str, Any], ctx: TaskContext, number: int) -> None:
    """Leaves a line that it is about to work at a chunk, and takes its time for that."""
    name = ctx.step.rpartition("/")[2]
    with (Path(input["place"]) / f"{name}.{os.getpid()}").open("a") as file:
        file.write(f"{number} {time.time()}\n")
    threading.Event().wait(input.get("pause_s", 0))


@task("streamed/give", stream=True)
def give(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Writes `count` chunks of `size` bytes."""
    for number in range(1, input["count"] + 1):
        _trace(input, ctx, number)
        ctx.write(numbered(number, input["size"]), {"number": str(number)})
    return {"gave": input["count"]}


@task("streamed/cut", stream=True)
def cut(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Cuts what comes in into chunks of `size` bytes."""
    kept, number = bytearray(), 0
    for chunk in ctx.read():
        kept += chunk
        while len(kept) >= input["size"]:
            number += 1
            _trace(input, ctx, number)
            ctx.write(bytes(kept[: input["size"]]))
            del kept[: input["size"]]
    if kept:
        ctx.write(bytes(kept))
    return {"cut": number}


@task("streamed/mix", stream=True, stateless=True)
def mix(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Each chunk for itself."""
    for chunk in ctx.read():
        _trace(input, ctx, int.from_bytes(chunk[:NUMBER_BYTES], "big"))
        ctx.write(mixed(chunk), chunk.headers)
    return {"pid": os.getpid()}


@task("streamed/chain", stream=True)
def chain(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Each chunk with the hash of all so far."""
    sha = hashlib.sha256()
    count = 0
    for chunk in ctx.read():
        count += 1
        _trace(input, ctx, int.from_bytes(chunk[:NUMBER_BYTES], "big"))
        sha.update(chunk)
        ctx.write(chunk + sha.digest())
    return {"chained": count, "pid": os.getpid()}


@task("streamed/fail", stream=True)
def fail(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes on, and fails after `after` chunks in its first `times` attempts.

    `other`: in those attempts it writes other bytes. `short`: in all others it writes fewer.
    `sign`: a file that it waits for before it fails.
    """
    attempt, most = ctx.attempt, input.get("times", 1)
    for count, chunk in enumerate(ctx.read(), 1):
        if attempt <= most:
            if count > input["after"]:
                while "sign" in input and not (Path(input["place"]) / input["sign"]).exists():
                    threading.Event().wait(0.02)
                raise TaskError("Test.Broken", f"attempt {attempt}")
            ctx.write(chunk[::-1] if input.get("other") else chunk)
        elif count <= input.get("short", sys.maxsize):
            ctx.write(chunk)
    return {"attempt": attempt}


@task("streamed/once")
def once(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """No stage: fails in its first attempt."""
    if ctx.attempt == 1:
        raise TaskError("Test.Early", "not yet")
    return {}


@task("streamed/say", stream=True, stateless=True)
def say(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Reads nothing."""
    ctx.write(b"hello")
    return {}


@task("streamed/tell", stream=True)
def tell(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes on; tells how many bytes it was."""
    return {"bytes": sum(_passed(ctx)), "name": input.get("name")}


WRITTEN: dict[str, tuple[Any, ...]] = {
    "writes a text": ("text",),
    "writes a number": (7,),
    "writes wide elements": (memoryview(bytes(8)).cast("I"),),
    "has headers of numbers": (b"x", {"a": 1}),
}
RAISED: dict[str, BaseException] = {
    "raises": RuntimeError("out of order"),
    "raises a task's error": TaskError("Test.Odd", "as it says"),
    "ends the process": SystemExit(3),
    "interrupts": KeyboardInterrupt("as if by hand"),
}
RETURNED: dict[str, Any] = {
    "returns a list": [1, 2],
    "returns what is no JSON": {"a": object()},
    "returns too much": {"text": "x" * 20_000_000},
}
"""Mistakes of a stage."""


@task("streamed/odd", stream=True)
def odd(input: dict[str, Any], ctx: TaskContext) -> Any:
    """Does what `what` says, a mistake, after two chunks."""
    chunks = ctx.read()
    if input["what"] == "reads nothing":
        ctx.write(b"of its own")
        return {"read": 0}
    for _, chunk in zip(range(2), chunks, strict=False):
        ctx.write(chunk)
    if input["what"] in WRITTEN:
        ctx.write(*WRITTEN[input["what"]])
        return {}
    if input["what"] in RAISED:
        raise RAISED[input["what"]]
    if input["what"] == "catches everything":
        _swallow(ctx)
    if input["what"] == "writes nothing":
        return {"read": sum(1 for _ in chunks)}
    return RETURNED[input["what"]]


@task("streamed/hang", stream=True)
def hang(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes two chunks on, then does nothing until the stream is cancelled."""
    try:
        for number, chunk in enumerate(ctx.read(), 1):
            ctx.write(chunk)
            if number == 2:
                break
        while not ctx.cancelled:
            threading.Event().wait(0.02)
    finally:
        (Path(input["place"]) / f"released.{ctx.flow}").touch()
    return {}


@task("streamed/linger", stream=True)
def linger(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes all on; when it is cancelled it stays for 3 s, or until there is `leave`."""
    try:
        return {"passed": sum(_passed(ctx))}
    except StreamCancelled:
        for _ in range(150):
            if (Path(input["place"]) / "leave").exists():
                break
            threading.Event().wait(0.02)
        raise


def _passed(ctx: TaskContext) -> Iterator[int]:
    for chunk in ctx.read():
        ctx.write(chunk)
        yield len(chunk)


def _swallow(ctx: TaskContext) -> None:
    while True:
        try:
            ctx.write(b"more" * 10_000)
        except Exception as error:  # noqa: B902  that is the mistake
            if ctx.cancelled:
                raise ValueError("it did not work") from error
