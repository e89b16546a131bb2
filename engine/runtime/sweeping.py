"""Sweeping: what is due, lost or unfinished is taken care of, by whichever worker comes first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.core.frame import parent_id
from engine.core.graph import Node
from engine.errors import ExecutionAlreadyCompleted, ExecutionNotExists
from engine.runtime.archiving import tidy
from engine.runtime.cutting import item_frame
from engine.runtime.ending import Ending
from engine.runtime.firing import Firing
from engine.runtime.forks import first_node, parking_lane
from engine.runtime.pausing import go_on, hold
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS, Verdict
from engine.runtime.sending import again, is_served, repeated, served_names
from engine.runtime.standing import Standing, fresh, new_id

log = logging.getLogger("penstock.worker")

LIMIT = 100
"""Entries that one look at a timer set takes."""

ROUNDS = 20
"""Looks in one sweep, while there is a full page of something."""

MAX_LOOKS = 3
"""How often a batch that moves meanwhile is looked at."""

RUNS_ANEW = (Verdict.PAUSED, Verdict.EARLY)
"""What a timer says that a pause has stopped or moved: its entry is not ours to take away."""

Due = tuple[Callable[[str], object], str]
"""An entry that is due, and who takes care of it."""

HOLD_S = 5.0
"""How long other sweepers leave a taken entry alone."""


class Sweeper:
    """One worker's part of the sweeping. Safe to run on every worker at once."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.store = runtime.store
        self.ending = Ending(runtime)
        self._firing = Firing(runtime)
        self._looked = 0

    def sweep(self, patient: bool = False, meanwhile: Callable[[], object] | None = None) -> int:
        """Takes care of what is due; how many entries that was. Cost: O(ROUNDS · LIMIT).

        `patient`: where nobody has swept for a while, leases last one lease longer. `meanwhile` is
        called between two looks, for what must not wait for the end of a long sweep.
        """
        total = 0
        for _ in range(ROUNDS):
            found = self._round(patient)
            total += found
            if found < LIMIT:
                break
            if meanwhile is not None:
                meanwhile()
        return total

    def _round(self, patient: bool) -> int:
        keys = self.store.keys
        due: list[Due] = [(self._timer, entry) for entry in self._due([keys.timers])]
        due += [(self._resend, entry) for entry in self._due([keys.dispatch])]
        due += [(self._firing.fire, entry) for entry in self._due([keys.fires])]
        grace = self._grace() if patient else {}
        lost = self._due([keys.lease, keys.calm], **grace)
        due += [(self._lost, entry) for entry in lost]
        for take, entry in due:
            try:
                take(entry)
            except STORE_ERRORS:
                raise
            except Exception:  # one entry that we cannot handle must not keep all others waiting
                log.exception("the engine failed at %s, and tries it again", entry)
        return len(due)

    def trim(self) -> None:
        """Forgets entries of the index whose executions' retention is over.

        Goes on where it ended the last time: what was started long ago may still be running.
        Cost: O(ROUNDS · LIMIT).
        """
        redis, keys = self.store.redis, self.store.keys
        for _ in range(ROUNDS):
            page: Any = redis.zrange(keys.executions, self._looked, self._looked + LIMIT - 1)
            gone = [identity for identity in page if not redis.exists(keys.record(identity))]
            for identity in gone:
                redis.zrem(keys.executions_of(identity.partition(":")[0]), identity)
                redis.zrem(keys.executions, identity)
            self._looked += len(page) - len(gone)
            if len(page) < LIMIT:
                self._looked = 0
                return

    def lost(self, node: str, request: str) -> None:
        """Hands on what a process of a worker was at when it died. Idempotent."""
        entry = self.store.redis.hget(self.store.keys.held(node), request)
        if entry:
            self._lost(str(entry))
            self.store.redis.hdel(self.store.keys.held(node), request)

    def _due(self, keys: list[str], **grace: int) -> list[str]:
        order = {"call": new_id(), "limit": LIMIT, "hold_ms": round(HOLD_S * 1000), **grace}
        return [str(entry) for entry in self.store.scripts.raw("sweep", keys, order)]

    def _grace(self) -> dict[str, int]:
        """After which gap in all workers' sweeping leases are left alone, and for how long."""
        settings = self.store.settings
        gap_s = max(settings.lease_s / 2, 2 * settings.sweep_every_s)
        return {"gap_ms": round(gap_s * 1000), "calm_ms": self.store.lease_ms}

    def _timer(self, entry: str) -> None:
        kind, _, rest = entry.partition("|")
        pointer = pointer_of(rest)
        match kind:
            case "wake" if self._wake(pointer) in RUNS_ANEW:
                return
            case "timeout" if self._time_out(pointer) in RUNS_ANEW:
                return
            case "expire" if self._expire(pointer) in RUNS_ANEW:
                return
            case "wake" | "timeout" | "expire":
                pass
            case "pausing" | "resuming":
                self._complete(kind, pointer.execution_id)
                return
            case "notify":
                self.ending.tell(pointer.execution_id)
                return
            case "history":
                tidy(self.runtime, pointer.execution_id)
                return
            case _:
                self.ending.complete(pointer)
                if self.store.record(pointer.execution_id).get("ending"):
                    return
        self.store.redis.zrem(self.store.keys.timers, entry)

    def _complete(self, kind: str, identity: str) -> None:
        """A pause or a resume whose caller may have died."""
        if kind == "pausing":
            hold(self.runtime, identity)
        else:
            go_on(self.runtime, identity)

    def _wake(self, pointer: Pointer) -> Verdict:
        """A wait or a retry's delay is over."""
        state = self.store.state(pointer.execution_id, pointer.frame)
        if state is None or state["fence"] != pointer.fence:
            return Verdict.STALE
        standing = self._standing(pointer, state)
        if standing is None:
            return Verdict.MISSING
        return self.store.wake(pointer, standing, ("WAITING",), None, timer="wake").verdict

    def _time_out(self, pointer: Pointer) -> Verdict:
        """A task took too long: its late result will be refused."""
        state = self.store.state(pointer.execution_id, pointer.frame)
        if state is None or state["fence"] != pointer.fence:
            return Verdict.STALE
        news = {"kind": "timeout", "child": state.get("on") or ""}
        states = ("RUNNING", "WAITING")
        to = again(self.runtime, pointer)
        return self.store.wake(pointer, to, states, news, timer="timeout").verdict

    def _expire(self, pointer: Pointer) -> Verdict:
        """An execution took too long."""
        try:
            return self.ending.time_out(pointer.flow, pointer.execution)
        except (ExecutionNotExists, ExecutionAlreadyCompleted):
            return Verdict.STALE

    def _lost(self, entry: str) -> None:
        """A lease was not renewed: its worker is gone."""
        pointer = pointer_of(entry)
        state = self.store.state(pointer.execution_id, pointer.frame)
        self._let_go(entry, (state or {}).get("worker", ""))
        if "*" in pointer.frame:
            self._batch_lost(pointer)
            return
        if state is not None and state["st"] == "RUNNING" and state["fence"] == pointer.fence:
            news = {"kind": "lost"} if self._is_task(pointer, state) else None
            standing = again(self.runtime, pointer) if news else self._repeat(pointer, state)
            if standing is not None:
                answer = self.store.lose(pointer, standing, news, state.get("wake"))
                if answer.verdict is not Verdict.ENDING:
                    return
        self.store.redis.zrem(self.store.keys.lease, entry)

    def _let_go(self, entry: str, node: str) -> None:
        """Forgets that a worker held something: if it is dead, nobody else does. Cost: O(slots)."""
        held = self.store.keys.held(node)
        members: Any = self.store.redis.hgetall(held)
        for request in [request for request, member in members.items() if member == entry]:
            self.store.redis.hdel(held, request)

    def _repeat(self, pointer: Pointer, state: dict[str, Any]) -> Standing | None:
        """The message of what the engine did itself, to be done again; its time limit stays."""
        # A task that has its TaskStarted does not get another.
        kind = "resume" if state["kind"] == "task" else state["kind"]
        standing = self._standing(pointer, state | {"kind": kind})
        if standing is None or "to" not in state:
            return standing
        return replace(standing, timeout_s=state["to"] / 1000)

    def _is_task(self, pointer: Pointer, state: dict[str, Any]) -> bool:
        """True for a task of somebody's; what the engine does itself it may simply do again."""
        if state["kind"] != "task":
            return False
        node = self._node(pointer.execution_id, pointer.frame)
        return node is not None and node.resource is not None and served_names(node.resource) != ()

    def _batch_lost(self, pointer: Pointer) -> None:
        """A lane's lease was not renewed: the item it was at goes on by itself, as a task does."""
        identity, join = pointer.execution_id, pointer.frame.rpartition("*")[0]
        # One that still moves is alive: its lease is looked at again when others may, too.
        for _ in range(MAX_LOOKS):
            state = self.store.state(identity, pointer.frame) or {}
            item = self._open_item(pointer, join, int(state["cur"])) if state.get("open") else {}
            lost: dict[str, Any] = {"join": join, "batch": pointer.fence} | item
            if self.store.verb("batch_lost", identity, **lost).verdict is not Verdict.MOVED:
                return

    def _open_item(self, pointer: Pointer, join: str, index: int) -> dict[str, object]:
        """The item that a batch is at, as a frame whose worker was lost."""
        identity = pointer.execution_id
        graph = self.runtime.definitions.graph(self.store.record(identity)["definition"])
        frame = item_frame(self.runtime, pointer, graph, join, index)
        if frame is None:
            return {}
        news = self.store.packer.pack_detail(identity, {"kind": "lost"})
        to = again(self.runtime, replace(pointer, frame=frame.id)).order() | {"wake": news}
        doc = self.store.pack_frame(identity, frame)
        return {"index": index, "frame": frame.id, "doc": doc, "to": to}

    def _resend(self, entry: str) -> None:
        """A message was not claimed in time: it may be lost."""
        pointer = pointer_of(entry)
        identity, frame, fence = pointer.execution_id, pointer.frame, pointer.fence
        if fence == "lane":
            lane: dict[str, Any] = {"join": frame, "fence": fence, **self._parking(pointer)}
            queue = lane.get("queue") or (self.store.join(identity, frame) or {}).get("queue", "")
            self.store.verb("resend", identity, **lane, **self._waiting(queue))
            return
        state = self.store.state(identity, frame)
        standing = None
        if state is not None and state["st"] == "READY" and state["fence"] == fence:
            standing = self._standing(pointer, state, keep=True)
            if standing is not None and standing.pointer.kind != state["kind"]:
                # Its workers are gone, and waited for as where there were none; or one has come.
                self._change(pointer, state)
                return
        order: dict[str, Any] = {"frame": frame, "fence": fence}
        if standing is not None and state is not None:
            renewed = self._standing(pointer, state)
            order |= {"envelope": standing.envelope, "to": renewed.order() if renewed else None}
        queue = standing.queue if standing is not None else ""
        self.store.verb("resend", identity, queue, **order, **self._waiting(queue))

    def _waiting(self, queue: str) -> dict[str, Any]:
        """How long a queue is, where the store cannot see it and the broker says it."""
        broker = self.runtime.broker
        count = broker.waiting(queue) if broker is not None and queue else None
        return {} if count is None else {"waiting": count}

    def _change(self, pointer: Pointer, state: dict[str, Any]) -> None:
        """A task's turn becomes the look for a worker, or the other way round."""
        standing = self._standing(pointer, state)
        if standing is not None:
            self.store.wake(pointer, standing, ("READY",), None)

    def _node(self, identity: str, frame_id: str) -> Node | None:
        """The step that a frame stands at; None if it stands at none."""
        frame = self.store.frame(identity, frame_id)
        definition = self.store.record(identity).get("definition")
        if frame is None or frame.step is None or definition is None:
            return None
        return self.runtime.definitions.graph(definition).node(frame.step.path)

    def _parking(self, pointer: Pointer) -> dict[str, str]:
        """For a join whose lanes go to workers that are gone: lanes that any worker can take."""
        identity, join = pointer.execution_id, pointer.frame
        node = self._node(identity, parent_id(f"{join}.0"))
        if node is None:
            return {}
        graph = self.runtime.definitions.graph(self.store.record(identity)["definition"])
        first = first_node(graph, node)
        if first is None or first.resource is None or is_served(self.runtime, first):
            return {}
        sending = parking_lane(self.runtime, pointer, node, None)
        return {"lane": self.runtime.canvas.envelope(sending), "queue": sending.queue}

    def _standing(
        self, pointer: Pointer, state: dict[str, Any], keep: bool = False
    ) -> Standing | None:
        """The message of a frame for what it waits for; `keep`: with the same fence."""
        definition = self.store.record(pointer.execution_id).get("definition")
        frame = self.store.frame(pointer.execution_id, pointer.frame)
        if frame is None or definition is None:
            return None
        at = replace(pointer, kind=state["kind"])
        graph = self.runtime.definitions.graph(definition)
        return repeated(self.runtime, at if keep else fresh(at), graph, frame)


def pointer_of(entry: str) -> Pointer:
    """The frame that an entry of a timer set, `FLOW:EXECUTION|FRAME|FENCE`, is about."""
    identity, frame, fence = entry.split("|")
    flow, _, name = identity.partition(":")
    return Pointer(flow, name, "", 1, frame, fence, "resume")
