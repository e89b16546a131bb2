"""Loops: the last turn of many costs what the first did."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.figures import Figure
from tests.bench.stage import Stage

EDGE_TURNS = 1000
TIMEOUT_S = 60.0
GATE = 1.5
BYTES_GATE = 1.1
SAMPLE_EVERY_S = 0.05
EVENTS_A_TURN = 9
"""A turn's events: four of the task's step, three of its attempt, two of the choice."""

LOOP = """\
- type: task
  name: turn
  resourceArn: bench_turn
  inputMappings:
  - {target: n, source: $local.n}
- type: choice
  name: again
  choices:
  - {condition: '$.n < @TURNS@', goto: turn}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a loop had come: its events, the seconds, the bytes that Redis had got and sent."""

    events: int
    at_s: float
    moved_bytes: int


def measure_loop(stage: Stage, turns: int) -> list[Figure]:
    """A loop of a task and a choice: its first turns beside its last."""
    stage.deploy("loop", LOOP.replace("@TURNS@", str(turns)))
    run = stage.engine.start_execution("loop", {})
    samples = [_sample(stage, run.name)]
    begun = time.perf_counter()
    while stage.redis.hget(_record(stage, run.name), "status") == "Running":
        assert time.perf_counter() - begun < TIMEOUT_S, "the loop takes too long"
        time.sleep(SAMPLE_EVERY_S)
        samples.append(_sample(stage, run.name))
    took_s = time.perf_counter() - begun
    events = samples[-1].events
    edge = events * EDGE_TURNS // turns
    first = _cost([s for s in samples if s.events <= edge])
    last = _cost([s for s in samples if s.events >= events - edge])
    time_ratio, bytes_ratio = last[0] / first[0], last[1] / first[1]
    each = 1e3 * events / turns
    slower = f"last {EDGE_TURNS} {last[0] * each:.2f} ms a turn, first {first[0] * each:.2f} ms"
    larger = f"last {last[1] * each / 1e3:.0f} bytes a turn, first {first[1] * each / 1e3:.0f}"
    return [
        Figure(f"loop of {turns:,} turns", f"{took_s:.1f} s", took_s, at_most=TIMEOUT_S),
        Figure("  time", f"{slower}: {time_ratio:.2f} x", time_ratio, at_most=GATE),
        Figure("  bytes", f"{larger}: {bytes_ratio:.2f} x", bytes_ratio, at_most=BYTES_GATE),
    ]


def _cost(samples: list[Sample]) -> tuple[float, float]:
    """Seconds and bytes an event between the first and the last of some samples."""
    events = samples[-1].events - samples[0].events
    seconds = samples[-1].at_s - samples[0].at_s
    return seconds / events, (samples[-1].moved_bytes - samples[0].moved_bytes) / events


def _sample(stage: Stage, name: str) -> Sample:
    events = int(stage.redis.hget(_record(stage, name), "events") or 0)
    stats = stage.redis.info("stats")
    moved = stats["total_net_input_bytes"] + stats["total_net_output_bytes"]
    return Sample(events, time.perf_counter(), moved)


def _record(stage: Stage, name: str) -> str:
    return stage.engine.runtime.store.keys.record(f"loop:{name}")
