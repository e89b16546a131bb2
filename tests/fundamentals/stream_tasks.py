"""Stream tasks for pairs, the same in the simulator and on a worker: texts in, texts out."""

from __future__ import annotations

from typing import Any

from tasks import TaskContext, TaskError, task


@task("pairs/lines", stream=True)
def lines(input: dict[str, Any], ctx: TaskContext) -> None:
    """Writes each of its `lines` as a chunk, with its number as a header."""
    for number, line in enumerate(input["lines"], start=1):
        ctx.write(line.encode(), {"line": str(number)})


@task("pairs/upper", stream=True, stateless=True)
def upper(input: dict[str, Any], ctx: TaskContext) -> None:
    """Writes what it reads in capitals."""
    for chunk in ctx.read():
        ctx.write(chunk.upper(), chunk.headers)


@task("pairs/twice", stream=True, stateless=True)
def twice(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Writes each chunk twice; tells that it has done so."""
    for chunk in ctx.read():
        ctx.write(chunk, chunk.headers)
        ctx.write(chunk, chunk.headers)
    return {"times": 2}


@task("pairs/tell", stream=True)
def tell(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes on what it reads, and tells it; `headers: true`: its headers as well."""
    told = []
    for chunk in ctx.read():
        told.append([chunk.decode(), chunk.headers] if input.get("headers") else chunk.decode())
        ctx.write(chunk, chunk.headers)
    return {"read": told}


@task("pairs/echo", stream=True)
def echo(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes on what it reads, and returns its input."""
    for chunk in ctx.read():
        ctx.write(chunk)
    return {"input": input, "step": ctx.step}


@task("pairs/breaks", stream=True)
def breaks(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Fails at a chunk that is its `at`, on its first `times` attempts (1 if it is not said)."""
    for chunk in ctx.read():
        if chunk.decode() == input["at"] and ctx.attempt <= input.get("times", 1):
            raise TaskError(input.get("error", "Pairs.Broken"), f"attempt {ctx.attempt}")
        ctx.write(chunk)
    return {"attempt": ctx.attempt}


@task("pairs/answers", stream=True)
def answers(input: dict[str, Any], ctx: TaskContext) -> Any:
    """Passes on what it reads and returns its `answer`, whatever that is."""
    for chunk in ctx.read():
        ctx.write(chunk)
    return input["answer"]


@task("pairs:Sign", stream=True)
def sign(input: dict[str, Any], ctx: TaskContext) -> None:
    """Writes a last line of its own; fails without `by`."""
    for chunk in ctx.read():
        ctx.write(chunk)
    if "by" not in input:
        raise TaskError("NobodySigns", "by is missing")
    ctx.write(input["by"].encode())
