"""Edges: what one edge of a stream carries between two processes, how fast, and what Redis holds.

`python -m tests.bench.edges` measures them alone, on a Redis of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from statistics import median
from typing import Any

from engine.runtime.embedded import EmbeddedRedis
from streams.connection import connect
from streams.edge import WINDOW_BYTES, Edge
from streams.stop import Stop
from tests.bench.figures import Figure

CHUNK_BYTES = 240_000
CHUNKS = 1350
"""As many bytes as the raw pixels of 108 megapixels."""
HOPS = 300
HOP_EVERY_S = 0.003
ROUNDS = 3
RATE_GATE = 300.0
GROWTH_GATE_MB = (WINDOW_BYTES + 16 * 1024 * 1024) / 1e6
SAMPLE_EVERY_S = 0.01
TIMEOUT_S = 120.0
KEY = "bench:{edge}"
VIA = {"redis": False, "shared": True}
CASES = (("shared", True), ("redis", False), ("redis", True))
"""How payloads pass, and whether Redis writes what it is given to its append-only file, which then
is what limits it: that case is reported only.
"""


def measure_edges() -> list[Figure]:
    """Rate, hop and growth of Redis, with payloads through Redis and through shared memory."""
    figures = []
    with EmbeddedRedis() as server, connect(server.url) as client:
        before: Any = client.config_get("appendonly")
        try:
            for via, logged in CASES:
                client.config_set("appendonly", "yes" if logged else "no")
                figures += _measured(server.url, via, logged)
        finally:
            client.config_set("appendonly", before["appendonly"])
    return figures


def _measured(url: str, via: str, logged: bool) -> list[Figure]:
    judged = not (via == "redis" and logged)
    name = f"{via}, {'with' if logged else 'no'} AOF"
    runs = [_run(url, via, CHUNKS, 0.0) for _ in range(ROUNDS)]
    rate = median(run["rate"] for run in runs)
    growth = max(run["growth_mb"] for run in runs)
    hop = _run(url, via, HOPS, HOP_EVERY_S)["hop_ms"]
    moved = f"{rate:.0f} MB/s of {CHUNK_BYTES // 1000} KB chunks, hop p50 {hop:.2f} ms"
    grown = f"Redis grows by {growth:.1f} MB at most"
    return [
        Figure(f"edge: {name}", moved, rate, at_least=RATE_GATE if judged else None),
        Figure("", grown, growth, at_most=GROWTH_GATE_MB if judged else None),
    ]


def _run(url: str, via: str, chunks: int, every_s: float) -> dict[str, float]:
    edge = _edge(url, via)
    edge.delete()
    edge.create()
    reader = _start("read", url, via, chunks, every_s)
    writer = _start("write", url, via, chunks, every_s)
    over = threading.Event()
    peaks: list[int] = []
    watch = threading.Thread(target=_watch, args=(url, over, peaks))
    watch.start()
    try:
        said, _ = reader.communicate(timeout=TIMEOUT_S)
        writer.wait(TIMEOUT_S)
    finally:
        over.set()
        watch.join()
        for process in (reader, writer):
            process.kill()
        edge.delete()
    read: dict[str, float] = json.loads(said)
    return read | {"growth_mb": (max(peaks) - peaks[0]) / 1e6}


def _watch(url: str, over: threading.Event, peaks: list[int]) -> None:
    with connect(url) as client:
        while not over.wait(SAMPLE_EVERY_S):
            memory: Any = client.info("memory")
            peaks.append(memory["used_memory"])


def _start(role: str, *order: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.edges", role, *map(str, order)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _edge(url: str, via: str) -> Edge:
    return Edge(connect(url), KEY, shared=VIA[via])


def _write(edge: Edge, chunks: int, every_s: float) -> None:
    payloads = [os.urandom(CHUNK_BYTES) for _ in range(8)]
    writer = edge.writer(1, Stop(), resume_seq=None)
    pace = threading.Event()
    # The reader says that it is there by its first commit.
    writer.write(b"", {"sent": "0"})
    while edge.progress().read_seq == 0:
        pace.wait(SAMPLE_EVERY_S)
    for n in range(chunks):
        if every_s:
            pace.wait(every_s)
        writer.write(payloads[n % len(payloads)], {"sent": repr(time.monotonic())})
    writer.end()


def _read(edge: Edge) -> dict[str, float]:
    reader = edge.reader(1, Stop())
    hops: list[float] = []
    size, begun = 0, 0.0
    for chunk in reader:
        sent = float(chunk.headers["sent"])
        if sent:
            begun = begun or sent
            hops.append(time.monotonic() - sent)
        size += len(chunk)
        reader.commit(chunk.seq)
    return {"rate": size / 1e6 / (time.monotonic() - begun), "hop_ms": median(hops) * 1e3}


def _main(role: str = "", url: str = "", via: str = "", chunks: str = "", every: str = "") -> None:
    if role == "write":
        _write(_edge(url, via), int(chunks), float(every))
    elif role == "read":
        print(json.dumps(_read(_edge(url, via))))
    else:
        print(*measure_edges(), sep="\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
