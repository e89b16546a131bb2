"""Loops: the last turn of many costs what the first did."""

from __future__ import annotations

import time
from dataclasses import dataclass

from engine.runtime.engine import Run
from tests.bench.figures import Figure
from tests.bench.stage import Stage
from tests.waiting import wait_until

EDGE_TURNS = 1000
EVENTS_A_TURN = 9
"""Three of the task's step, three of its attempt, three of the choice."""

TIMEOUT_S = 60.0
TIME_GATE = 1.25
BYTES_GATE = 1.1

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
    """How far loops had come, the time, and the bytes that Redis had got and sent until then."""

    events: tuple[int, ...]
    at_s: float
    moved_bytes: int


def measure_loop(stage: Stage, turns: int) -> list[Figure]:
    """A loop's last turns beside a fresh loop's first: both at once, so that both are disturbed."""
    stage.deploy("loop", LOOP.replace("@TURNS@", str(turns)))
    old = stage.engine.start_execution("loop", {})
    first = _sample(stage, old)
    wait_until(lambda: _events(stage, old) > 0, TIMEOUT_S)
    early = _bytes_an_event(first, _after(stage, old, EDGE_TURNS // 2, turns))
    _after(stage, old, turns - EDGE_TURNS - EDGE_TURNS // 2, turns)
    before = _sample(stage, old)
    late = _bytes_an_event(before, _after(stage, old, turns - EDGE_TURNS, turns))
    young = stage.engine.start_execution("loop", {})
    begun = _sample(stage, old, young)
    wait_until(lambda: stage.redis.hexists(_record(stage, old), "stopped_ms"), TIMEOUT_S)
    ended = _sample(stage, old, young)
    stage.engine.stop_execution("loop", young.name)
    took_s = ended.at_s - first.at_s
    old_events, young_events = (b - a for a, b in zip(begun.events, ended.events, strict=True))
    ratio, bytes_ratio = young_events / old_events, late / early
    name = f"loop of {turns:,} turns"
    pace = f"a new loop's first turns go at {ratio:.2f} x the pace of the last {EDGE_TURNS:,}"
    moved = f"{early:.0f} bytes an event first, {late:.0f} last: {bytes_ratio:.2f} x"
    return [
        Figure(name, f"{took_s:.1f} s, {1e3 * took_s / turns:.2f} ms a turn", took_s, TIMEOUT_S),
        Figure("  time", pace, ratio, TIME_GATE),
        Figure("  bytes", moved, bytes_ratio, BYTES_GATE),
    ]


def _after(stage: Stage, run: Run, turn: int, turns: int) -> Sample:
    """A sample once a loop has come to a turn."""
    begin = turn * EVENTS_A_TURN
    assert turn < turns
    wait_until(lambda: _events(stage, run) >= begin, TIMEOUT_S)
    return _sample(stage, run)


def _bytes_an_event(first: Sample, last: Sample) -> float:
    return (last.moved_bytes - first.moved_bytes) / (last.events[0] - first.events[0])


def _sample(stage: Stage, *runs: Run) -> Sample:
    stats = stage.redis.info("stats")
    moved = stats["total_net_input_bytes"] + stats["total_net_output_bytes"]
    return Sample(tuple(_events(stage, run) for run in runs), time.perf_counter(), moved)


def _events(stage: Stage, run: Run) -> int:
    return int(stage.redis.hget(_record(stage, run), "events") or 0)


def _record(stage: Stage, run: Run) -> str:
    return stage.engine.runtime.store.keys.record(f"loop:{run.name}")
