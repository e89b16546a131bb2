"""The HTTP API: what it costs beside the same calls of the Python client."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from statistics import median, quantiles

from tests.api.serving import Stack, served
from tests.bench.figures import Figure, interleaved, median_ratio, medians
from tests.bench.http_client import Connection
from tests.stores import keys_of

KEY = "admin-key:admin-secret"
ROUNDS = 7
MEASURED_S = 60.0
STARTS = 480
CONNECTIONS = 8
STORED = 100_000
DESCRIBED = 1000
FOLLOWED = 10
WAIT = "- {type: wait, name: long, duration: 600}\n"
PASS = "- {type: pass, name: nothing}\n"
STEPS = "".join(f"- {{type: wait, name: w{n}, duration: 0.2}}\n" for n in range(4))
GIVE = "- type: stream\n  name: s\n  steps:\n  - {type: task, name: give, resourceArn: api/give}\n"


def measure_api() -> list[Figure]:
    """All figures of the API, on two stacks of its own: one without a worker, one with."""
    with served(slots=0) as stack:
        stack.deploy("long", WAIT)
        figures = [_starts(stack)]
    with served(slots=2) as stack:
        stack.deploy("steps", STEPS)
        stack.deploy("give", GIVE)
        stack.deploy("quick", PASS)
        return [*figures, _events(stack), _first_bytes(stack), *_among_many(stack)]


def _starts(stack: Stack) -> Figure:
    def over_rest() -> float:
        return _per_second(lambda: asyncio.run(_start_all(stack)))

    def by_client() -> float:
        return _per_second(lambda: _start_each(stack))

    pairs = interleaved(over_rest, by_client, ROUNDS, MEASURED_S)
    rest, client = medians(pairs)
    ratio = median_ratio(pairs)
    text = f"{rest:.0f}/s over REST, {client:.0f}/s by the Python client: {ratio:.2f} x"
    return Figure("api starts", text, ratio, at_least=0.5)


def _per_second(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return STARTS / (time.perf_counter() - began)


def _start_each(stack: Stack) -> None:
    for number in range(STARTS):
        stack.engine.start_execution("long", {"at": number})


async def _start_all(stack: Stack) -> None:
    async def some() -> None:
        async with Connection(stack.api.address, KEY) as connection:
            for number in range(STARTS // CONNECTIONS):
                body = {"input": {"at": number}}
                await connection.ask("POST", "/v1/flows/long/executions", body)

    await asyncio.gather(*(some() for _ in range(CONNECTIONS)))


def _events(stack: Stack) -> Figure:
    lags = [lag for _ in range(FOLLOWED) for lag in asyncio.run(_follow(stack))]
    p95 = _p95(lags)
    text = f"{len(lags)} events came {median(lags):.0f} ms after they happened, p95 {p95:.0f} ms"
    return Figure("api events", text, p95, at_most=100)


async def _follow(stack: Stack) -> list[float]:
    """How late each event of an execution came, in milliseconds."""
    lags: list[float] = []
    async with Connection(stack.api.address, KEY) as connection:
        started = await connection.ask("POST", "/v1/flows/steps/executions", {})
        async for line in connection.lines(f"{stack.at(started)}/events"):
            if '"event_id"' in line:
                moment = json.loads(line.partition(": ")[2])["time"]
                lags.append(1000 * (time.time() - datetime.fromisoformat(moment).timestamp()))
    return lags[2:]  # the first have happened before anybody asked


def _first_bytes(stack: Stack) -> Figure:
    given = {"count": 1, "size": 1000}
    path = "/v1/flows/give/executions:stream?input=" + json.dumps(given).replace(" ", "")

    def over_rest() -> float:
        began = time.perf_counter()
        with stack.client.stream("POST", path) as answer:
            parts = answer.iter_raw()
            next(parts)
            took_s = time.perf_counter() - began
            assert not any(parts)
        return took_s

    def by_client() -> float:
        began = time.perf_counter()
        with stack.engine.stream("give", given) as parts:
            next(parts)
            took_s = time.perf_counter() - began
            assert not any(parts)
        return took_s

    over_rest()
    pairs = interleaved(over_rest, by_client, 3 * ROUNDS, MEASURED_S)
    more_ms = 1000 * median(rest - client for rest, client in pairs)
    rest, client = medians(pairs)
    text = f"{1000 * rest:.0f} ms over REST, {1000 * client:.0f} ms by engine.stream"
    return Figure("api first byte", f"{text}: {more_ms:+.0f} ms", more_ms, at_most=30)


def _among_many(stack: Stack) -> Iterator[Figure]:
    names = store_many(stack, STORED)
    chosen = random.Random(7).choices(names, k=DESCRIBED)
    described = asyncio.run(_times(stack, [f"/v1/flows/quick/executions/{n}" for n in chosen]))
    p95 = _p95(described)
    text = f"{STORED:,} stored: {median(described):.1f} ms, p95 {p95:.1f} ms"
    yield Figure("api describe", text, p95, at_most=20)
    pages = ["/v1/executions?flow=quick&limit=50", "/v1/executions?status=Succeeded&limit=50"]
    listed = asyncio.run(_times(stack, pages * 50))
    text = f"a page of 50 of {STORED:,}: {median(listed):.1f} ms, p95 {_p95(listed):.1f} ms"
    yield Figure("api search", text, _p95(listed))


async def _times(stack: Stack, paths: Sequence[str]) -> list[float]:
    """How long each GET took, in milliseconds; one after the other."""
    found = []
    async with Connection(stack.api.address, KEY) as connection:
        for path in paths:
            began = time.perf_counter()
            await connection.ask("GET", path)
            found.append(1000 * (time.perf_counter() - began))
    return found


def store_many(stack: Stack, count: int) -> list[str]:
    """Stores copies of an execution that has ended, as many; their names."""
    run = stack.engine.start_execution("quick", {"at": 1}, "first")
    run.wait(30)
    keys, redis = stack.engine.runtime.store.keys, stack.engine.runtime.store.redis
    copied = list(keys_of(redis, "quick:first"))
    record = keys.record("quick:first")
    names = [f"copy-{number:06}" for number in range(count)]
    began_ms = int(str(redis.hget(record, "started_ms")))
    for start in range(0, count, 1000):
        pipe = redis.pipeline(transaction=False)
        for place, name in enumerate(names[start : start + 1000], start):
            for key in copied:
                pipe.copy(key, key.removesuffix("first") + name)
            pipe.hset(keys.record(f"quick:{name}"), "name", name)
            entry = {f"quick:{name}": began_ms + place}
            pipe.zadd(keys.executions, entry)
            pipe.zadd(keys.executions_of("quick"), entry)
        pipe.execute()
    return names


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]
