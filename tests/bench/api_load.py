"""`python -m tests.bench.api_load`: many clients at once for a while; exits 1 on any error.

Each client starts an execution and waits for its end, follows the events of another, reads both
again with a page of their histories, and looks through a list: over and over.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import psutil

from tests.api.serving import Stack, served
from tests.bench.http_client import Connection

KEY = "admin-key:admin-secret"
MIB = 1024 * 1024
WARM_S = 15.0
"""After so long every pool and cache has its size."""

MOST_GROWN_MIB = 16.0
QUICK = "- {type: pass, name: nothing}\n"
SHORT = "- {type: wait, name: little, duration: 0.2}\n"


@dataclass
class Load:
    """What the clients have met. `rss`: of the API process, in MiB, by when it was looked at."""

    ends: float
    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    times_ms: list[float] = field(default_factory=list)
    rss: list[tuple[float, float]] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api_load", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with served(slots=2) as stack:
        stack.deploy("quick", QUICK)
        stack.deploy("short", SHORT)
        load = Load(time.monotonic() + options.seconds)
        asyncio.run(_run(stack, load, options.clients))
        return _report(stack, load, options)


def _report(stack: Stack, load: Load, options: argparse.Namespace) -> int:
    began = load.rss[0][0]
    warm = [rss for at, rss in load.rss if at - began >= min(WARM_S, options.seconds / 4)]
    grown = warm[-1] - warm[0]
    p50, p95 = (quantiles(load.times_ms, n=20)[place] for place in (9, 18))
    total = sum(load.answers.values())
    print(f"{options.clients} clients, {options.seconds:.0f} s: {total} answers,"
          f" {total / options.seconds:.0f}/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms")  # fmt: skip
    print(", ".join(f"{kind} {count}" for kind, count in sorted(load.answers.items())))
    print(f"memory of the API: {load.rss[0][1]:.0f} MiB at first, {warm[0]:.0f} warm,"
          f" {max(rss for _, rss in load.rss):.0f} at most, {warm[-1]:.0f} at the end")  # fmt: skip
    for error, count in load.errors.most_common(10):
        print(f"ERROR {count} x {error}")
    log = stack.api.log.replace(f"listening on {stack.api.url}", "").strip()
    if log:
        print(f"LOG {log[:2000]}")
    return int(bool(load.errors) or bool(log) or grown > MOST_GROWN_MIB)


async def _run(stack: Stack, load: Load, clients: int) -> None:
    looking = asyncio.create_task(_look(stack, load))
    await asyncio.gather(*(_client(stack, load, number) for number in range(clients)))
    await looking


async def _look(stack: Stack, load: Load) -> None:
    process = psutil.Process(stack.api.pid)
    while (left_s := load.ends - time.monotonic()) > 0:
        load.rss.append((time.monotonic(), process.memory_info().rss / MIB))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), min(1.0, left_s))


async def _client(stack: Stack, load: Load, number: int) -> None:
    while time.monotonic() < load.ends:
        try:
            async with Connection(stack.api.address, KEY) as connection:
                while time.monotonic() < load.ends:
                    await _turn(stack, load, connection, number)
        except (AssertionError, OSError, EOFError, TimeoutError) as error:
            load.errors[f"{type(error).__name__}: {str(error)[:200]}"] += 1


async def _turn(stack: Stack, load: Load, connection: Connection, number: int) -> None:
    async def timed(kind: str, method: str, path: str, body: Any = None, more: str = "") -> Any:
        began = time.perf_counter()
        answer = await connection.ask(method, path, body, more)
        if "Prefer" not in more:
            load.times_ms.append(1000 * (time.perf_counter() - began))
        load.answers[kind] += 1
        return answer

    given = {"input": {"client": number}}
    waited = await timed(
        "waited", "POST", "/v1/flows/quick/executions", given, "Prefer: wait=30\r\n"
    )
    assert waited["status"] == "Succeeded", waited
    started = await timed("started", "POST", "/v1/flows/short/executions", given)
    names = [line async for line in connection.lines(f"{stack.at(started)}/events")]
    assert "event: end" in names, names
    load.answers["followed"] += 1
    for each in (waited, started):
        found = await timed("described", "GET", stack.at(each))
        assert found["input"] == {"client": number}, found
        page = await timed("paged", "GET", f"{stack.at(each)}/history?limit=3")
        assert page["events"]
    await timed("listed", "GET", "/v1/executions?flow=quick&limit=20")


if __name__ == "__main__":
    sys.exit(main())
