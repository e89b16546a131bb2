"""A fleet of somebody else's: plain Celery, which has never heard of flows.

`FLEET_BROKER` is its Redis; `FLEET_BACKEND` its result backend, none if empty.
"""

import os
import sys
import time

from celery import Celery

app = Celery(
    "foreign_fleet",
    broker=os.environ["FLEET_BROKER"],
    backend=os.environ.get("FLEET_BACKEND") or None,
)


class StockError(Exception):
    """An exception of that fleet's own."""


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def describe(**given: object) -> dict[str, object]:
    ours = {"engine", "workers", "tasks", "streams", "penstock"}
    return {"given": given, "knows": sorted(ours & set(sys.modules))}


@app.task
def order(item: str) -> None:
    raise StockError(f"no {item} in stock")


@app.task
def ponder(seconds: float) -> str:
    time.sleep(seconds)
    return "well"
