"""Hops: what one step after the other costs, beside a plain chain."""

from __future__ import annotations

import time
from functools import partial

from celery import chain

from tests.bench.figures import Figure, interleaved, median_ratio, medians
from tests.bench.stage import Stage

STEPS = 200
TIMEOUT_S = 60.0
GATE = 0.8
AT_MOST_S = 20.0


def measure_hops(stage: Stage, rounds: int) -> list[Figure]:
    """A flow of trivial tasks in a row, and the same as a chain."""
    row = "".join(f"- {{type: task, name: s{i}, resourceArn: bench_noop}}\n" for i in range(STEPS))
    stage.deploy("hops", row)
    _ours(stage), _theirs(stage)
    pairs = interleaved(partial(_ours, stage), partial(_theirs, stage), rounds, AT_MOST_S)
    ours, theirs = medians(pairs)
    ratio = median_ratio(pairs)
    text = f"{ours * 1e3:.2f} ms a step, plain chain {theirs * 1e3:.2f} ms: {ratio:.2f} x"
    return [Figure("step hop", text, ratio, at_most=GATE)]


def _ours(stage: Stage) -> float:
    begun = time.perf_counter()
    stage.run("hops", {}, TIMEOUT_S)
    return (time.perf_counter() - begun) / STEPS


def _theirs(stage: Stage) -> float:
    noop = stage.plain.tasks["plain.noop"]
    begun = time.perf_counter()
    row = chain(*[noop.s() for _ in range(STEPS)], app=stage.plain)
    row.apply_async().get(timeout=TIMEOUT_S)
    return (time.perf_counter() - begun) / STEPS
