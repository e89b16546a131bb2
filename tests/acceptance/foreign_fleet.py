"""A fleet of somebody else's: plain Celery, which has never heard of flows.

`FLEET_BROKER` is its Redis; `FLEET_BACKEND` its result backend, none if empty.
"""

import os
import sys
import threading

from celery import Celery

app = Celery(
    "foreign_fleet",
    broker=os.environ["FLEET_BROKER"],
    backend=os.environ.get("FLEET_BACKEND") or None,
)


class StockError(Exception):
    """An exception of that fleet's own."""


@app.task
def add(x: int, y: int) -> dict[str, int]:
    return {"sum": x + y}


@app.task
def count(x: int) -> int:
    return x + 1


@app.task
def describe(**given: object) -> dict[str, object]:
    ours = {"engine", "workers", "tasks", "streams", "penstock"}
    return {"given": given, "knows": sorted(ours & set(sys.modules))}


@app.task
def order(item: str) -> None:
    raise StockError(f"no {item} in stock")


@app.task
def ponder(seconds: float) -> str:
    threading.Event().wait(seconds)
    return "well"
