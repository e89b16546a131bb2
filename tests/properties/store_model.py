"""The store as a model: what each of its verbs has to answer and to do, in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Order = dict[str, Any]
Event = tuple[str, str, str]
"""Type, step and frame."""

SLACK_MS = 4000
"""Times of the model are exact; in the store some time has passed between two calls."""


@dataclass
class Stand:
    """Where a frame stands, or a batch (BATCH; `item`: the one it is at)."""

    st: str
    fence: str
    call: str = ""
    kind: str = ""
    since: float = 0
    due: float | None = None
    limit: float | None = None
    timeout_ms: float | None = None
    wake: Any = None
    copies: int = 0
    item: int = 0
    open: bool = False
    thawed: str = ""


@dataclass
class Join:
    """A fork's counters; `left`: items that nobody has taken."""

    parent: str
    fence: str
    visit: str
    total: int
    window: int
    left: int
    done: int
    open: bool = True


@dataclass
class Run:
    """An execution. `paused` None: it is not."""

    status: str = "Running"
    ended: bool = False
    ending: bool = False
    expires: float | None = None
    paused: Order | None = None
    resumed_at: float | None = None
    redriven: bool = False
    frames: dict[str, Stand] = field(default_factory=dict)
    joins: dict[str, Join] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class StoreModel:
    """Executions by id. `now`: the milliseconds that the test has let pass."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.held: dict[str, str] = {}
        self.now = 0.0

    def call(self, verb: str, order: Order, answer: list[Any], queued: bool) -> str:
        """The verdict that a call must have; what it changes is changed.

        `answer`: what the store said, for what is left to it: which item a lane takes, and whether
        a message may be lost while there are others in its queue (`queued`).
        """
        run = self.runs.get(order["id"])
        if verb == "start":
            return self._start(order)
        if verb in ("put", "archive", "compact"):
            return str(answer[0])
        if run is None:
            return "MISSING"
        method = getattr(self, f"_{verb}")
        if verb == "lane":
            return str(method(run, order, int(answer[1]) if answer[0] == "APPLIED" else 0))
        if verb == "resend":
            return str(method(run, order, queued and answer[0] == "WAITING"))
        return str(method(run, order))

    def _start(self, o: Order) -> str:
        if o["id"] in self.runs:
            return "REPEATED"
        run = self.runs[o["id"]] = Run()
        _record(run, o.get("events", ()))
        self._stand(run, "", o["to"], o["call"])
        self._limit(run, o)
        return "APPLIED"

    def _claim(self, run: Run, o: Order) -> str:
        at = run.frames.get(o["frame"])
        if at is None or at.st != "READY" or at.fence != o["fence"]:
            return _count(run, "duplicates", "MISSING" if at is None else "STALE")
        if run.ending or run.paused:
            return "ENDING" if run.ending else "PAUSED"
        if at.due is not None and at.due > self.now + SLACK_MS:
            return "EARLY"
        at.st, at.call = "RUNNING", o["call"]
        if at.kind == "task":
            run.history.append(("TaskStarted", o["step"], o["frame"]))
        if at.timeout_ms and at.kind in ("task", "resume"):
            at.limit = self.now + at.timeout_ms
        return "APPLIED"

    def _held(self, run: Run, o: Order, counts: bool = True) -> str | None:
        """Why a claim does not hold any more."""
        at = run.frames.get(o["frame"])
        if at is None or at.st != "RUNNING" or at.fence != o["fence"]:
            verdict = "MISSING" if at is None else "STALE"
            return _count(run, "refused", verdict) if counts else verdict
        if run.ending:
            return _count(run, "refused", "ENDING") if counts else "ENDING"
        return "MOVED" if o.get("exact", len(run.history) + 1) != len(run.history) + 1 else None

    def _settle(self, run: Run, o: Order) -> str:
        # What has only begun to wait has no result that could be late.
        waits = o["to"]["st"] == "WAITING" and o["to"]["kind"] == "resume"
        if refusal := self._held(run, o, not waits):
            return refusal
        if o["to"]["st"] == "ENDED":
            join = run.joins.get(o["to"]["join"])
            if join is None or not join.open:
                return _count(run, "refused", "STALE")
            _record(run, o["events"])
            del run.frames[o["frame"]]
            self._child_ended(run, join, o["to"])
            return "APPLIED"
        _record(run, o["events"])
        self._stand(run, o["frame"], o["to"], o["call"])
        return "APPLIED"

    def _fork(self, run: Run, o: Order) -> str:
        if refusal := self._held(run, o):
            return refusal
        _record(run, o["events"])
        self._stand(run, o["frame"], o["to"], o["call"])
        left, done = o["total"], 0
        if again := o.get("again"):
            left = o["total"] - again["cursor"] + again["returned"]
            done = o["total"] - left
        fence = o["to"]["fence"]
        join = Join(o["frame"], fence, o["visit"], o["total"], o["window"], left, done)
        run.joins[o["join"]] = join
        if left == 0:
            self._fire(run, join)
        return "APPLIED"

    def _lane(self, run: Run, o: Order, item: int) -> str:
        join = _open(run, o["join"])
        if join is None:
            return "MISSING"
        if run.ending or run.paused:
            return "ENDING" if run.ending else "PAUSED"
        if self.held.get(o["request"]) in run.frames:
            return _count(run, "duplicates", "STALE")
        if join.left == 0 or _active(run, o["join"]) >= join.window:
            return "EMPTY"
        join.left -= 1
        key = self.held[o["request"]] = f"{o['join']}*{o['call']}"
        run.frames[key] = Stand("BATCH", o["call"], item=item)
        return "APPLIED"

    def _item(self, run: Run, o: Order) -> str:
        key, to = f"{o['join']}*{o['batch']}", o["to"]
        batch, join = run.frames.get(key), run.joins.get(o["join"])
        opens = to["st"] == "OPEN"
        if batch is None or join is None or not join.open or batch.item != o["index"]:
            return "STALE" if opens else _count(run, "refused", "STALE")
        if run.ending:
            return "ENDING" if opens else _count(run, "refused", "ENDING")
        if o.get("exact", len(run.history) + 1) != len(run.history) + 1:
            return "MOVED"
        _record(run, o["events"])
        if opens:
            batch.open, batch.call = True, o["call"]
            return "APPLIED"
        del run.frames[key]
        if to["st"] == "ENDED":
            self._child_ended(run, join, to)
        else:
            self._stand(run, to["frame"], to, o["call"])
        return "APPLIED"

    def _batch_lost(self, run: Run, o: Order) -> str:
        key = f"{o['join']}*{o['batch']}"
        batch, join = run.frames.get(key), run.joins.get(o["join"])
        if batch is None or join is None or not join.open or run.ending:
            return "STALE"
        if (batch.item if batch.open else None) != o.get("index"):
            return "MOVED"
        del run.frames[key]
        if "frame" in o:
            self._stand(run, o["frame"], o["to"], o["call"])
        else:
            join.left += 1
        return "APPLIED" if o.get("taken") else _count(run, "handovers", "APPLIED")

    def _wake(self, run: Run, o: Order) -> str:
        at = run.frames.get(o["frame"])
        if at is None:
            return "MISSING"
        if at.fence != o["fence"]:
            return "STALE"
        if at.st not in o["from"]:
            return "REPEATED" if at.wake else "STALE"
        if run.ending:
            return "ENDING"
        if timer := o.get("timer"):
            if run.paused and run.paused["freeze"]:
                return "PAUSED"
            due = at.due if timer == "wake" else at.limit
            if due is not None and due > self.now + SLACK_MS:
                return "EARLY"
        self._stand(run, o["frame"], o["to"] | {"wake": o.get("wake")}, o["call"])
        return _count(run, "handovers", "APPLIED") if o.get("lost") else "APPLIED"

    def _resend(self, run: Run, o: Order, waits: bool) -> str:
        if name := o.get("join"):
            join = _open(run, name)
            if join is None or join.left == 0 or _active(run, name) >= join.window:
                return "STALE"
            if o.get("resumed"):
                return "PAUSED" if run.paused else "APPLIED"
        else:
            at = run.frames.get(o["frame"])
            if at is None or at.st != "READY" or at.fence != o["fence"]:
                return "STALE"
        if run.paused or waits:
            return "PAUSED" if run.paused else "WAITING"
        if not name:
            assert at is not None
            if at.copies:
                copies, since = at.copies, at.since
                self._stand(
                    run, o["frame"], o["to"] | {"wake": at.wake, "delay_ms": None}, o["call"]
                )
                at = run.frames[o["frame"]]
                at.copies, at.since = copies, since
            at.copies += 1
        return _count(run, "redispatches", "APPLIED")

    def _ending(self, run: Run, o: Order) -> str:
        if run.ended:
            return "STALE"
        if o.get("timer"):
            if run.paused and run.paused["freeze"]:
                return "PAUSED"
            if run.expires is not None and run.expires > self.now + SLACK_MS:
                return "EARLY"
        run.ending, before = True, run.ending
        return "REPEATED" if before else "APPLIED"

    def _abort(self, run: Run, o: Order) -> str:
        for cut in o.get("cuts", ()):
            at = run.frames.get(cut["frame"])
            if at is not None and at.call == cut["seen"]:
                del run.frames[cut["frame"]]
                _record(run, cut["events"])
                if at.st == "BATCH":
                    run.joins[cut["frame"].rpartition("*")[0]].left += 1
        for name in o.get("joins", ()):
            if name in run.joins:
                run.joins[name].open = False
        return "APPLIED"

    def _finish(self, run: Run, o: Order) -> str:
        if o["fence"] == "":
            if run.ended or not run.ending:
                return "STALE"
        elif run.ended:
            return _count(run, "refused", "STALE")
        elif refusal := self._held(run, o | {"frame": ""}):
            return "STALE" if refusal == "MISSING" else refusal
        _record(run, o["events"])
        run.status, run.ended, run.ending, run.paused = o["status"], True, False, None
        run.frames, run.resumed_at = {}, None
        for join in run.joins.values():
            join.open = False
        return "APPLIED"

    def _pause(self, run: Run, o: Order) -> str:
        if run.ended or run.ending:
            return "STALE"
        if run.paused:
            return "REPEATED"
        run.paused = {**o["paused"], "at": self.now, "call": o["call"]}
        run.status = "Paused"
        _record(run, o["events"])
        return "APPLIED"

    def _resume(self, run: Run, o: Order) -> str:
        if run.paused is None or run.ending:
            return "REPEATED"
        if "resuming" in o:
            run.resumed_at = self.now if run.resumed_at is None else run.resumed_at
            return "APPLIED"
        if o["pause"] != run.paused["call"]:
            return "REPEATED"
        if run.paused["freeze"] and run.expires is not None and run.resumed_at is not None:
            run.expires += run.resumed_at - run.paused["at"]
        run.paused, run.resumed_at, run.status = None, None, "Running"
        _record(run, o["events"])
        return "APPLIED"

    def _thaw(self, run: Run, o: Order) -> str:
        if run.paused is None or run.resumed_at is None or run.paused["call"] != o.get("pause"):
            return "APPLIED"
        for name in o["frames"]:
            at = run.frames.get(name)
            if at is None or at.thawed == run.paused["call"]:
                continue
            at.thawed = run.paused["call"]
            stood = min(run.resumed_at, max(run.paused["at"], at.since))
            at.due = at.due and run.resumed_at + max(0, at.due - stood)
            at.limit = at.limit and run.resumed_at + max(0, at.limit - stood)
        return "APPLIED"

    def _redrive(self, run: Run, o: Order) -> str:
        if not run.ended or run.status == "Succeeded":
            return "REPEATED"
        run.status, run.ended, run.redriven = "Running", False, True
        _record(run, o["events"])
        self._stand(run, "", o["to"] | {"wake": o["wake"]}, o["call"])
        self._limit(run, o)
        return "APPLIED"

    def _forget(self, run: Run, o: Order) -> str:
        join = run.joins.get(o["join"])
        if join is not None and join.visit != o["visit"]:
            return "STALE"
        if o["whole"]:
            run.joins.pop(o["join"], None)
        return "APPLIED"

    def _stand(self, run: Run, frame: str, to: Order, call: str) -> None:
        before = run.frames.get(frame)
        at = Stand(to["st"], to["fence"], call, to["kind"], self.now, wake=to.get("wake"))
        delay_ms, at.timeout_ms = to.get("delay_ms"), to.get("timeout_ms")
        at.due = self.now + delay_ms if delay_ms else None
        if at.st == "WAITING" and at.timeout_ms:
            at.limit = self.now + at.timeout_ms
        if to.get("keeps_timeout") and before is not None:
            at.limit, at.since, at.thawed = before.limit, before.since, before.thawed
        run.frames[frame] = at

    def _limit(self, run: Run, o: Order) -> None:
        run.expires = self.now + o["timeout_ms"] if "timeout_ms" in o else None

    def _child_ended(self, run: Run, join: Join, to: Order) -> None:
        join.done += "failure" not in to
        if join.done == join.total or "failure" in to:
            self._fire(run, join)

    def _fire(self, run: Run, join: Join) -> None:
        parent = run.frames.get(join.parent)
        if parent is not None and parent.fence == join.fence:
            parent.st, parent.due, join.open = "READY", None, False


def _count(run: Run, what: str, verdict: str) -> str:
    run.counts[what] += 1
    return verdict


def _record(run: Run, rows: Sequence[Any]) -> None:
    run.history += [(row[0], row[1], row[2]) for row in rows]


def _open(run: Run, name: str) -> Join | None:
    """A join from which items may be taken: its fork still waits at it."""
    join = run.joins.get(name)
    parent = run.frames.get(join.parent) if join is not None else None
    waits = join is not None and parent is not None and parent.fence == join.fence
    return join if join is not None and join.open and waits else None


def _active(run: Run, join: str) -> int:
    """Children and batches of a join that are open."""
    return sum(name.startswith((f"{join}.", f"{join}*")) for name in run.frames)
