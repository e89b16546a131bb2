"""Fan-outs: the rate of a foreach beside a plain chord's, and what a very long one needs."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from celery import chord, group

from engine.runtime.payloads import PAGE_BYTES
from tests.bench.figures import Figure, median_ratio, medians
from tests.bench.stage import Stage

ITEMS = 2000
TIMEOUT_S = 120.0
GATE = 5.0
AIM = "15"

MANY_ITEMS = 100_000
LARGEST_BYTES = 2 * PAGE_BYTES + 64 * 1024
"""The most a request may have: a page of the collection, which doubles when it is quoted."""
MESSAGES_SHARE = 0.05
"""So many messages an item are still a fan-out in batches."""
SAMPLE_EVERY_S = 0.2

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
    pairs = [(_ours(stage, ITEMS), _theirs(stage)) for _ in range(rounds)]
    ours, theirs = medians(pairs)
    ratio = median_ratio(pairs)
    text = f"{ours:.0f} items/s, plain chord {theirs:.0f}/s: {ratio:.1f} x"
    return [Figure("foreach of 2000", text, ratio, at_least=GATE, aim=AIM)]


def measure_many(stage: Stage) -> list[Figure]:
    """A very long foreach: its time, the largest thing that was sent, the number of messages."""
    stage.deploy("many", FOREACH)
    stage.redis.config_resetstat()
    with Watcher(stage) as seen:
        rate = _ours(stage, MANY_ITEMS, "many")
    sent = stage.redis.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"]
    kept = stage.redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    length = f"foreach of {MANY_ITEMS:,}"
    return [
        Figure(length, f"{MANY_ITEMS / rate:.1f} s, {rate:.0f} items/s", rate),
        Figure(
            "  largest request", f"{seen.request:,} bytes", seen.request, at_most=LARGEST_BYTES
        ),
        Figure("  largest reply", f"{seen.reply:,} bytes", seen.reply),
        Figure(
            "  largest field",
            ", ".join(f"{kind} {size:,}" for kind, size in sorted(seen.fields.items())) + " bytes",
            max(seen.fields.values(), default=0),
            at_most=LARGEST_BYTES,
        ),
        Figure(
            "  messages", f"{sent:,} ({kept:,} script calls)", sent / MANY_ITEMS, MESSAGES_SHARE
        ),
    ]


@dataclass
class Watcher:
    """Samples a server while something runs: the largest request, reply and field of a hash."""

    stage: Stage
    request: int = 0
    reply: int = 0
    fields: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __enter__(self) -> Watcher:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            clients = self.stage.redis.info("clients")
            # The server keeps the peaks of the last seconds, so sampling misses none.
            self.request = max(self.request, clients["client_recent_max_input_buffer"])
            self.reply = max(self.reply, clients["client_recent_max_output_buffer"])
            self._look_at_fields()

    def _look_at_fields(self) -> None:
        for kind in "xfsjp":
            for key in self.stage.redis.scan_iter(f"*:{kind}:many:*", count=1000):
                for name in self.stage.redis.hkeys(key):
                    size = int(self.stage.redis.hstrlen(key, name))
                    self.fields[kind] = max(self.fields[kind], size)


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
