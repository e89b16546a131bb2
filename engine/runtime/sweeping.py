"""Sweeping: what is due, lost or unfinished is taken care of, by whichever worker comes first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.core.frame import parent_id
from engine.core.graph import Node
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionAlreadyCompleted, ExecutionNotExists
from engine.runtime.canvas import BEGIN, ENGINE_TASKS, JOIN, RESUME, WAIT, Sending
from engine.runtime.cutting import item_frame
from engine.runtime.ending import Ending
from engine.runtime.fleet import ANNOUNCE_TTL_S
from engine.runtime.forks import first_node, parking_lane
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS, Verdict
from engine.runtime.sending import again, is_served, served_names, task_message
from engine.runtime.standing import Standing, fresh, new_id

log = logging.getLogger("penstock.worker")

LIMIT = 100
"""Entries that one look at a timer set takes."""

ROUNDS = 20
"""Looks in one sweep, while there is a full page of something."""

MAX_LOOKS = 3
"""How often a batch that moves meanwhile is looked at."""

HOLD_S = 5.0
"""How long other sweepers leave a taken entry alone."""

BY_KIND = {"begin": BEGIN, "wait": WAIT, "join": JOIN, "resume": RESUME}


class Sweeper:
    """One worker's part of the sweeping. Safe to run on every worker at once."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.store = runtime.store
        self.ending = Ending(runtime)
        self._looked = 0

    def sweep(self, leases: bool = True, meanwhile: Callable[[], object] | None = None) -> int:
        """Takes care of what is due; how many entries that was. Cost: O(ROUNDS · LIMIT).

        `leases` False: whose lease is over is not taken from him yet. `meanwhile` is called
        between two looks, for what must not wait for the end of a long sweep.
        """
        total = 0
        for _ in range(ROUNDS):
            found = self._round(leases)
            total += found
            if found < LIMIT:
                break
            if meanwhile is not None:
                meanwhile()
        return total

    def _round(self, leases: bool) -> int:
        keys = self.store.keys
        takers = [(keys.timers, self._timer), (keys.dispatch, self._resend)]
        if leases:
            takers.append((keys.lease, self._lost))
        due = [(take, entry) for key, take in takers for entry in self._due(key)]
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

    def _due(self, key: str) -> list[str]:
        order = {"call": new_id(), "limit": LIMIT, "hold_ms": round(HOLD_S * 1000)}
        return [str(entry) for entry in self.store.scripts.raw("sweep", [key], order)]

    def _timer(self, entry: str) -> None:
        kind, identity, frame, fence = entry.split("|")
        flow, _, name = identity.partition(":")
        pointer = Pointer(flow, name, "", 1, frame, fence, "resume")
        match kind:
            case "wake":
                done = self._wake(pointer)
            case "timeout":
                done = self._time_out(pointer)
            case "expire":
                done = self._expire(pointer)
            case "notify":
                self.ending.tell(identity)
                return
            case _:
                self.ending.complete(pointer)
                done = not self.store.record(identity).get("ending")
        if done:
            self.store.redis.zrem(self.store.keys.timers, entry)

    def _wake(self, pointer: Pointer) -> bool:
        """A wait or a retry's delay is over."""
        state = self.store.state(pointer.execution_id, pointer.frame)
        if state is None or state["fence"] != pointer.fence:
            return True
        standing = self._standing(pointer, state)
        if standing is not None:
            self.store.wake(pointer, standing, ("WAITING",), None)
        return True

    def _time_out(self, pointer: Pointer) -> bool:
        """A task took too long: its late result will be refused."""
        state = self.store.state(pointer.execution_id, pointer.frame)
        if state is None or state["fence"] != pointer.fence:
            return True
        news = {"kind": "timeout", "child": state.get("on") or ""}
        states = ("RUNNING", "WAITING")
        self.store.wake(pointer, again(self.runtime, pointer), states, news)
        return True

    def _expire(self, pointer: Pointer) -> bool:
        """An execution took too long."""
        try:
            self.ending.stop(pointer.flow, pointer.execution, ExecutionStatus.TIMED_OUT, None, None)
        except (ExecutionNotExists, ExecutionAlreadyCompleted):
            return True
        return True

    def _lost(self, entry: str) -> None:
        """A lease was not renewed: its worker is gone."""
        identity, frame, fence = entry.split("|")
        flow, _, name = identity.partition(":")
        pointer = Pointer(flow, name, "", 1, frame, fence, "resume")
        if "*" in frame:
            self._batch_lost(pointer)
            return
        state = self.store.state(identity, frame)
        if state is not None and state["st"] == "RUNNING" and state["fence"] == fence:
            news = {"kind": "lost"} if self._is_task(pointer, state) else None
            standing = again(self.runtime, pointer) if news else self._repeat(pointer, state)
            if standing is not None:
                answer = self.store.lose(pointer, standing, news, state.get("wake"))
                if answer.verdict is not Verdict.ENDING:
                    return
        self.store.redis.zrem(self.store.keys.lease, entry)

    def _repeat(self, pointer: Pointer, state: dict[str, Any]) -> Standing | None:
        """The message of what the engine did itself, to be done again; its time limit stays."""
        standing = self._standing(pointer, state | {"kind": repeated(str(state["kind"]))})
        if standing is None or "to" not in state:
            return standing
        return replace(standing, timeout_s=state["to"] / 1000)

    def _is_task(self, pointer: Pointer, state: dict[str, object]) -> bool:
        """True for a task of somebody's; what the engine does itself it may simply do again."""
        frame = self.store.frame(pointer.execution_id, pointer.frame)
        if state["kind"] != "task" or frame is None or frame.step is None:
            return False
        definition = self.store.record(pointer.execution_id)["definition"]
        resource = self.runtime.definitions.graph(definition).node(frame.step.path).resource
        return resource is not None and served_names(resource) != ()

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
        identity, frame, fence = entry.split("|")
        flow, _, name = identity.partition(":")
        pointer = Pointer(flow, name, "", 1, frame, fence, "resume")
        if fence == "lane":
            self.store.verb("resend", identity, join=frame, fence=fence, **self._parking(pointer))
            return
        state = self.store.state(identity, frame)
        standing = None
        if state is not None and state["st"] == "READY" and state["fence"] == fence:
            if state["kind"] == "task" and not self._is_served(pointer):
                # Its workers may come back: that is waited for, as where there were none before.
                looking = self._standing(pointer, state | {"kind": "unserved"})
                if looking is not None:
                    self.store.wake(pointer, looking, ("READY",), None)
                return
            standing = self._standing(pointer, state, keep=True)
        envelope, queue = (standing.envelope, standing.queue) if standing else ("", "")
        self.store.verb("resend", identity, queue, frame=frame, fence=fence, envelope=envelope)

    def _is_served(self, pointer: Pointer) -> bool:
        """False for a frame at a task that no live worker has."""
        node = self._node(pointer.execution_id, pointer.frame)
        return node is None or node.resource is None or is_served(self.runtime, node)

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
        self, pointer: Pointer, state: dict[str, object], keep: bool = False
    ) -> Standing | None:
        """The message of a frame for what it waits for; `keep`: with the same fence."""
        identity = pointer.execution_id
        record = self.store.record(identity)
        frame = self.store.frame(identity, pointer.frame)
        if frame is None or "definition" not in record:
            return None
        kind = str(state["kind"])
        step = frame.step
        at = pointer
        if step is not None:
            at = replace(at, step=step.path.rpartition("/")[2], attempt=step.attempt)
        at = replace(at, kind=kind)  # type: ignore[arg-type]  # the state has it from a pointer
        at = at if keep else fresh(at)
        queue, name, shown, limit = self.store.settings.queue, BY_KIND.get(kind, RESUME), None, None
        if kind in ("task", "unserved") and step is not None:
            node = self.runtime.definitions.graph(record["definition"]).node(step.path)
            name, queue, limit = task_message(self.runtime, node)
            assert node.resource is not None
            shown = node.resource.display if name in ENGINE_TASKS else None
        sending = Sending(name, at, queue, new_id(), shown=shown)
        envelope = self.runtime.canvas.envelope(sending)
        return Standing("READY", at, envelope, queue, timeout_s=limit)


def repeated(kind: str) -> str:
    """As what a claim is repeated: a task that has its TaskStarted does not get another."""
    return "resume" if kind == "task" else kind


def renew(runtime: Runtime, node: str, requests: list[str]) -> int:
    """Keeps the leases of what a worker's slots are at; how many. Atomic, idempotent."""
    keys = runtime.store.keys
    order = {
        "call": new_id(),
        "requests": requests,
        "lease_ms": runtime.store.lease_ms,
        "ttl_ms": round(ANNOUNCE_TTL_S * 4 * 1000),
    }
    return int(runtime.store.scripts.raw("renew", [keys.lease, keys.held(node)], order))
