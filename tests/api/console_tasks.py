"""Tasks of the console's tests: they go on, fail or pour as the test wants, by files it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import TaskError, task
from tasks.context import TaskContext
from tests.waiting import wait_until

PATIENCE_S = 60.0


@task("shop/price")
def price(input: dict[str, Any]) -> dict[str, Any]:
    return {"total": input.get("amount", 1) * 19, "currency": "EUR"}


@task("shop/pack")
def pack(input: dict[str, Any]) -> dict[str, Any]:
    """Ends once there is a sign, if one is named."""
    if place := input.get("sign"):
        wait_until(Path(place).exists, PATIENCE_S)
    return {"parcel": "P-7"}


@task("shop/ship")
def ship(input: dict[str, Any]) -> dict[str, Any]:
    """Fails until there is a courier, or a sign where none is named."""
    if not Path(input.get("courier") or input["sign"]).exists():
        raise TaskError("NoCourier", "no courier has a place <left> for parcel P-7")
    return {"tracking": "T-1"}


@task("shop/ask")
def ask(input: dict[str, Any]) -> dict[str, Any]:
    return {}


@task("shop/label")
def label(input: dict[str, Any]) -> dict[str, Any]:
    """Fails for numbers that it is told."""
    number = input["number"]
    if number in input.get("bad", ()):
        raise TaskError("Smudged", f"label {number} cannot be read")
    if (place := input.get("sign")) and number >= input.get("holds_at", 0):
        wait_until(Path(place).exists, PATIENCE_S)
    return {"label": f"L{number}"}


@task("shop/pour", stream=True)
def pour(input: dict[str, Any], ctx: TaskContext) -> None:
    """Writes two rounds of chunks; the second once there is a sign."""
    for _ in range(10):
        ctx.write(bytes(20_000))
    wait_until(Path(input["sign"]).exists, PATIENCE_S)
    for _ in range(10):
        ctx.write(bytes(20_000))


@task("shop/sieve", stream=True, stateless=True)
def sieve(input: dict[str, Any], ctx: TaskContext) -> None:
    for chunk in ctx.read():
        ctx.write(bytes(chunk)[: len(chunk) // 2])


@task("shop/fill", stream=True)
def fill(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    return {"size": sum(len(chunk) for chunk in ctx.read())}
