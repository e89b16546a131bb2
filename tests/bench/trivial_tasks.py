"""The tasks that the measured flows call: they do next to nothing."""

from __future__ import annotations

from typing import Any

from tasks import task


@task("bench_noop")
def noop(input: dict[str, Any]) -> dict[str, Any]:
    return {}


@task("bench_item")
def item(input: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1}


@task("bench_turn")
def turn(input: dict[str, Any]) -> dict[str, Any]:
    return {"n": input.get("n", 0) + 1}
