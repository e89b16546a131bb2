"""Metrics: how much of everything there is, for a monitoring system that asks again and again.

Scripts count what happens as it happens (`lua/_tallies.lua`); nothing here looks at executions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.runtime.figures import FIELDS
from engine.runtime.queues import QueueLength, queue_lengths
from engine.runtime.runtime import Runtime
from engine.runtime.standing import new_id

BOUNDS_MS = (
    *(5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000),
    *(300_000, 1_800_000),
)
"""Upper bounds of the buckets of times, as the scripts have them."""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A value. `suffix`: what a histogram puts behind its name, such as `_bucket`."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all of its samples. Names are in the manner of Prometheus."""

    name: str
    kind: Kind
    about: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of an installation."""

    families: tuple[Family, ...]


@dataclass(slots=True)
class _Tallies:
    """The counters of the store: by what they count, then by label."""

    counts: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    queues: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Now:
    """What is counted at this moment."""

    workers: int
    slots: int
    busy: int
    timers: int
    overdue_s: float
    schedules: int
    late_s: float
    outbox: int


def metrics_of(runtime: Runtime) -> Metrics:
    """All metrics. Cost: O(flows + queues + workers), three round trips."""
    tallies = _tallies(runtime)
    lengths = queue_lengths(runtime, tallies.queues)
    now = _now(runtime)
    return Metrics(
        (
            *_executions(tallies.counts),
            *_tasks(tallies.counts),
            *_absorbed(tallies.counts),
            *_streams(tallies.counts),
            *_queues(lengths, now),
            *_capacity(now, sum(each.ready for each in lengths)),
            *_clocks(now),
        )
    )


def forget_flow(runtime: Runtime, flow: str) -> None:
    """Forgets the counters of a flow that is gone; those of one that still runs stay."""
    order = {"call": new_id(), "flow": flow}
    runtime.store.scripts.call("uncount", [runtime.store.keys.figures], order)


def _tallies(runtime: Runtime) -> _Tallies:
    stored: Any = runtime.store.redis.hgetall(runtime.store.keys.figures)
    found = _Tallies()
    for name, text in stored.items():
        what, mark, label = name.rpartition("|")
        if name.startswith("claimed:"):
            found.queues.append(name.removeprefix("claimed:"))
        elif mark:
            found.counts[what][label] = int(text)
        else:
            found.counts[name][""] = int(text)
    return found


def _now(runtime: Runtime) -> _Now:
    store = runtime.store
    keys, pipe = store.keys, store.redis.pipeline(transaction=False)
    pipe.zcard(keys.timers)
    pipe.zrange(keys.timers, 0, 0, withscores=True)
    pipe.zcard(keys.schedules)
    pipe.zrange(keys.fires, 0, 0, withscores=True)
    pipe.llen(keys.outbox)
    timers, first_timer, schedules, first_fire, outbox = pipe.execute()
    workers, now_ms = runtime.fleet.workers(fresh=True), store.clock.now_s() * 1000
    return _Now(
        workers=len(workers),
        slots=sum(worker.slots for worker in workers),
        busy=runtime.streams.busy(),
        timers=timers,
        overdue_s=_since(first_timer, now_ms),
        schedules=schedules,
        late_s=_since(first_fire, now_ms),
        outbox=outbox,
    )


def _since(first: list[tuple[str, float]], now_ms: float) -> float:
    """How long ago the first entry of a timer set was due; 0 if it is still to come."""
    return max(0.0, now_ms - first[0][1]) / 1000 if first else 0.0


_Counts = Mapping[str, Mapping[str, int]]


def _executions(counts: _Counts) -> Iterator[Family]:
    ended = {what: by for what, by in counts.items() if what.startswith("ended|")}
    yield _by_flow("executions_started_total", "Executions that have begun.", counts.get("started"))
    yield _by_flow("executions_redriven_total", "Redrives.", counts.get("redriven"))
    yield Family(
        "penstock_executions_ended_total",
        "counter",
        "Executions that have ended, each time for one that was redriven.",
        tuple(
            Sample({"flow": flow, "status": what.removeprefix("ended|")}, count)
            for what, by in sorted(ended.items())
            for flow, count in sorted(by.items())
        ),
    )
    open_ = dict(counts.get("started", {}))
    for flow, count in counts.get("redriven", {}).items():
        open_[flow] = open_.get(flow, 0) + count
    for by in ended.values():
        for flow, count in by.items():
            open_[flow] = open_.get(flow, 0) - count
    about = "Executions that have not ended, paused ones too."
    yield _by_flow("executions_running", about, open_, kind="gauge")
    paused = "Executions that are paused."
    yield _by_flow("executions_paused", paused, counts.get("paused"), kind="gauge")


def _tasks(counts: _Counts) -> Iterator[Family]:
    yield _histogram(
        "task_seconds", "From the claim of a task's attempt to its result.", counts, "task"
    )
    yield _histogram(
        "task_wait_seconds", "From when a task could begin to when it began.", counts, "wait"
    )
    yield _by_flow("tasks_total", "Attempts of tasks that workers have ended.", counts.get("tasks"))
    yield _by_flow(
        "tasks_busy_seconds_total",
        "Time that workers were at tasks.",
        counts.get("tasks_ms"),
        unit=1000,
    )
    yield _by_flow(
        "task_retries_total",
        "Attempts of tasks that have begun after the first one.",
        counts.get("retries"),
    )


def _absorbed(counts: _Counts) -> Iterator[Family]:
    abouts = {
        "duplicates_absorbed": "Messages that found nothing to do any more.",
        "stale_refused": "Results that came too late and were refused.",
        "handovers": "Steps and batches that were taken from a lost worker.",
        "redispatches": "Messages that were sent again since nobody had claimed them.",
    }
    for figure, stored in FIELDS.items():
        yield _single(
            f"{figure}_total", "counter", abouts[figure], counts.get(stored, {}).get("", 0)
        )


def _streams(counts: _Counts) -> Iterator[Family]:
    yield _by_flow(
        "streams_total", "Attempts of stream steps that have closed.", counts.get("streams")
    )
    yield _by_flow(
        "stream_bytes_total", "Bytes that edges of streams carried.", counts.get("stream_bytes")
    )
    yield _by_flow(
        "stream_blocked_seconds_total",
        "Time that edges of streams were held up by who reads them.",
        counts.get("stream_blocked_ms"),
        unit=1000,
    )


def _queues(lengths: Iterable[QueueLength], now: _Now) -> Iterator[Family]:
    yield Family(
        "penstock_queue_messages",
        "gauge",
        "Messages that no worker has taken yet.",
        tuple(Sample({"queue": each.queue}, each.ready) for each in lengths),
    )
    yield Family(
        "penstock_queue_oldest_seconds",
        "gauge",
        "How long the message at the head of a queue could have been taken.",
        tuple(
            Sample({"queue": each.queue}, each.oldest_s)
            for each in lengths
            if each.oldest_s is not None
        ),
    )
    about = "Messages that are still to be handed to the other broker."
    yield _single("outbox_messages", "gauge", about, now.outbox)


def _capacity(now: _Now, waiting: int) -> Iterator[Family]:
    wanted = now.busy + waiting
    yield _single("workers", "gauge", "Workers that live.", now.workers)
    yield _single("slots", "gauge", "Slots of all workers.", now.slots)
    yield _single("slots_busy", "gauge", "Slots at steps or at parts of streams.", now.busy)
    about = "Slots that there is work for: busy ones, and one for each waiting message."
    yield _single("slots_wanted", "gauge", about, wanted)
    yield _single(
        "saturation",
        "gauge",
        "Wanted slots for each one there is (without any: as if there were one); over 1: too few.",
        wanted / max(1, now.slots),
    )


def _clocks(now: _Now) -> Iterator[Family]:
    yield _single("timers", "gauge", "Waits, time-outs and the like that are set.", now.timers)
    about = "How long the first timer is overdue: does any worker look?"
    yield _single("timers_overdue_seconds", "gauge", about, now.overdue_s)
    yield _single("schedules", "gauge", "Schedules, paused ones too.", now.schedules)
    about = "How long the first fire of a schedule is overdue."
    yield _single("schedules_overdue_seconds", "gauge", about, now.late_s)


def _single(name: str, kind: Kind, about: str, value: float) -> Family:
    return Family(f"penstock_{name}", kind, about, (Sample({}, value),))


def _by_flow(
    name: str,
    about: str,
    counts: Mapping[str, int] | None,
    unit: int = 1,
    kind: Kind = "counter",
) -> Family:
    """A sample for each flow; `*`: flows beyond the number that is told apart."""
    samples = (
        # What had begun before it was counted may end: there are never less than none.
        Sample({"flow": flow}, max(0, count) / unit)
        for flow, count in sorted((counts or {}).items())
    )
    return Family(f"penstock_{name}", kind, about, tuple(samples))


def _histogram(name: str, about: str, counts: _Counts, what: str) -> Family:
    buckets, total = counts.get(f"{what}_le", {}), 0
    samples = []
    for bound in (*map(str, BOUNDS_MS), "inf"):
        total += buckets.get(bound, 0)
        shown = "+Inf" if bound == "inf" else f"{int(bound) / 1000:g}"
        samples.append(Sample({"le": shown}, total, "_bucket"))
    spent_s = counts.get(f"{what}_ms", {}).get("", 0) / 1000
    samples += [Sample({}, spent_s, "_sum"), Sample({}, total, "_count")]
    return Family(f"penstock_{name}", "histogram", about, tuple(samples))
