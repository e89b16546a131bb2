"""Fan-outs: the rate of a foreach beside a plain chord's, and what a very long one needs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from celery import chord, group

from engine.config import Settings
from engine.runtime.payloads import PAGE_BYTES
from tests.bench.figures import Figure, interleaved, median_ratio, medians
from tests.bench.stage import Stage
from tests.driving import Driver

ITEMS = 2000
TIMEOUT_S = 150.0
GATE = 5.0
AIM = "15"
AT_MOST_S = 40.0

MANY_ITEMS = 100_000
HASHES = {"x": "record", "f": "frame", "s": "state", "j": "join", "p": "page"}
"""The hashes of an execution, but for that of the results, which has an entry per item."""
MESSAGES_SHARE = 0.05
"""So many messages an item are still a fan-out in batches."""
SAMPLE_EVERY_S = 0.5

SIZES_GATE = 1.1
SIZES_BATCH = 200

FOREACH = """\
- type: foreach
  name: each
  iterationMapping: {collection: $.xs, item: x}
  steps:
  - {type: task, name: t, resourceArn: bench_item}
  outputMappings:
  - {target: r, source: '$local[*].v'}
"""


def measure_fanout(stage: Stage, rounds: int) -> list[Figure]:
    """A foreach over trivial items, and a chord of as many tasks."""
    stage.deploy("each", FOREACH)
    _ours(stage, ITEMS)
    pairs = interleaved(partial(_ours, stage, ITEMS), partial(_theirs, stage), rounds, AT_MOST_S)
    ours, theirs = medians(pairs)
    ratio = median_ratio(pairs)
    text = f"{ours:.0f} items/s, plain chord {theirs:.0f}/s: {ratio:.1f} x"
    return [Figure("foreach of 2000", text, ratio, at_least=GATE, aim=AIM)]


def measure_many(stage: Stage) -> list[Figure]:
    """A very long foreach: its time, the largest field while it runs, the number of messages."""
    stage.deploy("many", FOREACH)
    stage.redis.config_resetstat()
    with Watcher(stage) as seen:
        rate = _ours(stage, MANY_ITEMS, "many")
    sent = stage.redis.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"]
    sizes = ", ".join(f"{kind} {size:,}" for kind, size in sorted(seen.largest.items()))
    return [
        Figure(
            f"foreach of {MANY_ITEMS:,}",
            f"{MANY_ITEMS / rate:.1f} s, {rate:.0f} items/s",
            rate,
        ),
        Figure(
            "  largest field",
            f"{sizes} bytes",
            max(seen.largest.values(), default=0),
            at_most=PAGE_BYTES,
        ),
        Figure("  messages", f"{sent:,}", sent / MANY_ITEMS, MESSAGES_SHARE),
    ]


def measure_sizes(stage: Stage) -> list[Figure]:
    """The largest call of each script in a long foreach, beside one a tenth as long."""
    few, many = (_largest(stage, items) for items in (ITEMS, 10 * ITEMS))
    ratios = {verb: many[verb] / few[verb] for verb in sorted(set(many) - {"put"})}
    text = ", ".join(f"{verb} {many[verb]:,}" for verb in ratios)
    return [
        Figure("  largest calls", f"{text} bytes", max(ratios.values()), at_most=SIZES_GATE),
        Figure("  largest page", f"{many['put']:,} bytes", many["put"], PAGE_BYTES + 1024),
    ]


def _largest(stage: Stage, items: int) -> Counter[str]:
    settings = Settings(key_prefix=f"sizes-{items}", queue=f"sizes-{items}")
    functions = {"bench_item": lambda given, context: {"v": 1}}
    driver = Driver(stage.redis, functions, batch=SIZES_BATCH, settings=settings)
    flow = f"version: v1\ntype: flow\nsteps:\n{FOREACH}"
    ended = driver.run(flow, {"xs": list(range(items))})
    assert ended.output is not None and len(ended.output["r"]) == items
    return driver.scripts.largest


@dataclass
class Watcher:
    """Samples the hashes of the executions while something runs: their largest fields."""

    stage: Stage
    largest: Counter[str] = field(default_factory=Counter)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watcher:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            for kind, name in HASHES.items():
                for key in self.stage.redis.scan_iter(f"*:{kind}:many:*", count=1000):
                    for part in self.stage.redis.hkeys(key):
                        size = int(self.stage.redis.hstrlen(key, part))
                        self.largest[name] = max(self.largest[name], size)


def _ours(stage: Stage, items: int, flow: str = "each") -> float:
    begun = time.perf_counter()
    ended = stage.run(flow, {"xs": list(range(items))}, TIMEOUT_S)
    took_s = time.perf_counter() - begun
    assert ended.output is not None and len(ended.output["r"]) == items
    return items / took_s


def _theirs(stage: Stage) -> float:
    noop, total = stage.plain.tasks["plain.noop"], stage.plain.tasks["plain.total"]
    begun = time.perf_counter()
    members = group([noop.s() for _ in range(ITEMS)], app=stage.plain)
    counted = chord(members, app=stage.plain)(total.s()).get(timeout=TIMEOUT_S)
    took_s = time.perf_counter() - begun
    assert counted == ITEMS
    return ITEMS / took_s
