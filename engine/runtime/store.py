"""The execution store: what Redis knows of executions, and the only way to change it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from redis import Redis

from engine.config import Settings
from engine.core.events import EventType, NewEvent
from engine.core.frame import Frame
from engine.errors import ConcurrentUpdateError
from engine.runtime.claims import Batch, Claim, Holder
from engine.runtime.clock import StoreClock
from engine.runtime.documents import STATE_VERSION, VERSION_FIELD, pack_frame, unpack_frame
from engine.runtime.keys import HELD_S, Keys
from engine.runtime.moves import Move
from engine.runtime.payloads import Packer
from engine.runtime.pointer import Pointer
from engine.runtime.scripts import Answer, Scripts, Verdict
from engine.runtime.standing import Standing, new_id

EARLY_MS = 250
"""A message that comes early by less waits in its slot; one by more is left to its deadline."""

NET_S = 5.0
"""When the sweeper looks after something that one process began and has not finished."""


class ExecutionStore:
    """The verbs on executions. Every method that changes something is one atomic script.

    Each call has an id: when its reply is lost, the repeated call gets the first answer. `outbox`:
    the messages are for another broker, and a relay fetches them.
    """

    def __init__(self, redis: Redis, settings: Settings, outbox: bool = False) -> None:
        self.redis = redis
        self.settings = settings
        self._outbox = outbox
        self.keys = Keys(settings.key_prefix, settings.queue)
        self.scripts = Scripts(redis)
        self.clock = StoreClock(redis)
        self.packer = Packer(
            self._save_page,
            self._load_pages,
            settings.inline_limit_bytes,
            settings.payload_limit_bytes,
        )

    # payloads

    def _save_page(self, execution_id: str, field: str, page: str) -> None:
        order = {"id": execution_id, "call": "", "field": field, "before_start": True}
        self.scripts.call("put", self.keys.execution(execution_id), order, page)

    def _load_pages(self, execution_id: str, fields: list[str]) -> list[str | None]:
        return self.redis.hmget(self.keys.payloads(execution_id), fields)  # type: ignore[return-value]

    def pack_frame(self, execution_id: str, frame: Frame) -> str:
        """The document of a frame. Large values are stored on the way."""
        return pack_frame(self.packer, execution_id, frame)

    def unpack_frame(self, execution_id: str, text: str) -> Frame:
        """The frame of a document."""
        return unpack_frame(self.packer, execution_id, text)

    def events(
        self, execution_id: str, frame_id: str, events: Sequence[NewEvent], cause: int | str = ""
    ) -> list[list[Any]]:
        """Events as the scripts take them; `cause`: the first one's, "" for the event before."""
        rows = []
        for event in events:
            detail = self.packer.pack_detail(execution_id, event.detail)
            row: list[Any] = [str(event.type), event.step_name, frame_id, cause, detail]
            if event.type is EventType.STREAM_CLOSED:
                row += [0, _streamed(event.detail)]
            elif event.begins_turn:
                row.append(1)
            rows.append(row)
            cause = ""
        return rows

    # verbs

    def start(
        self,
        pointer: Pointer,
        frame: Frame,
        event: NewEvent,
        standing: Standing,
        record: dict[str, str],
        timeout_s: float | None,
        move: Move | None = None,
    ) -> Answer:
        """Begins an execution. Atomic, idempotent by name: REPEATED with its owner's status.

        `move`: of the schedule that starts it; STALE: the schedule stands elsewhere.
        """
        identity = pointer.execution_id
        order = self._order(identity) | {
            "record": record,
            "events": self.events(identity, "", [event], 0),
            "doc": self.pack_frame(identity, frame),
            "to": standing.order(),
        }
        if timeout_s is not None:
            order["timeout_ms"] = round(timeout_s * 1000)
        keys = self.keys.execution(identity, standing.queue)
        keys += (self.keys.executions, self.keys.executions_of(pointer.flow))
        if move is not None:
            order["fires"] = move.order()
            keys += (self.keys.schedule(pointer.flow, move.name), self.keys.fires)
        return self.scripts.call("start", keys, order)

    def claim(self, pointer: Pointer, holder: Holder) -> Claim | Verdict:
        """Takes a frame. Atomic. The verdict says why not."""
        identity = pointer.execution_id
        order = self._order(identity) | {
            "frame": pointer.frame,
            "fence": pointer.fence,
            "step": pointer.step,
            "attempt": pointer.attempt,
            "worker": holder.node,
            "request": holder.request,
            "lease_ms": self.lease_ms,
            "held_ms": round(HELD_S * 1000),
            "version": STATE_VERSION,
        }
        keys = self.keys.execution(identity, node=holder.node)
        answer = self.scripts.call("claim", keys, order)
        if answer.verdict is Verdict.EARLY and int(answer.values[0]) < EARLY_MS:
            # Celery's timers and the store's clock agree only so far.
            time.sleep(int(answer.values[0]) / 1000 + 0.001)
            answer = self.scripts.call("claim", keys, order)
        if not answer.applied:
            return answer.verdict
        doc, state_text, events, definition, waited_ms = answer.values
        state = json.loads(state_text)
        wake = state.get("wake")
        return Claim(
            pointer=pointer,
            holder=holder,
            frame=self.unpack_frame(identity, doc),
            kind=state["kind"],
            wake=self.packer.unpack_detail(identity, wake) if wake else None,
            next_event_id=int(events) + 1,
            definition=definition,
            waited_s=int(waited_ms) / 1000,
        )

    def settle(
        self,
        claim: Claim,
        frame: Frame,
        events: Sequence[NewEvent],
        standing: Standing,
        exact: int | None = None,
    ) -> Answer:
        """Says where a claimed frame stands now. Atomic, idempotent. Cost: O(events)."""
        order = self._claimed(claim, frame, events, exact) | {"to": standing.order()}
        return self.scripts.call("settle", self._keys(claim, standing.queue), order)

    def settle_child(
        self,
        claim: Claim,
        events: Sequence[NewEvent],
        ended: dict[str, Any],
        exact: int | None = None,
        failed: Frame | None = None,
    ) -> Answer:
        """Says that a claimed child frame has ended; `failed`: where. Atomic, idempotent."""
        order = self._claimed(claim, failed, events, exact) | {"to": ended}
        return self.scripts.call("settle", self._keys(claim), order)

    def fork(
        self,
        claim: Claim,
        frame: Frame,
        events: Sequence[NewEvent],
        standing: Standing,
        join: dict[str, Any],
        exact: int | None = None,
    ) -> Answer:
        """Opens children under a claimed frame. Atomic, idempotent. Cost: O(lanes)."""
        order = self._claimed(claim, frame, events, exact) | {"to": standing.order()} | join
        return self.scripts.call("fork", self._keys(claim), order)

    def lane(self, pointer: Pointer, holder: Holder, batch: int, slots: int) -> Batch | Verdict:
        """Takes items of a fork. Atomic. The verdict says why there are none."""
        identity = pointer.execution_id
        order = self._order(identity) | {
            "join": pointer.frame,
            "worker": holder.node,
            "request": holder.request,
            "lease_ms": self.lease_ms,
            "held_ms": round(HELD_S * 1000),
            "version": STATE_VERSION,
            "batch": batch,
            "slots": slots,
        }
        answer = self.scripts.call("lane", self.keys.execution(identity, node=holder.node), order)
        if not answer.applied:
            return answer.verdict
        first, stop, doc, fork_event, events, definition, redriven = answer.values
        return Batch(
            pointer=pointer,
            holder=holder,
            fence=order["call"],
            first=int(first),
            stop=int(stop),
            parent=self.unpack_frame(identity, doc),
            fork_event_id=int(fork_event),
            next_event_id=int(events) + 1,
            definition=definition,
            redriven=bool(redriven),
        )

    def item(self, batch: Batch, index: int, order: dict[str, Any], queue: str = "") -> Answer:
        """Says what an item of a batch came to, or that it opens. Atomic, idempotent."""
        identity = batch.pointer.execution_id
        base = self._order(identity) | {
            "join": batch.pointer.frame,
            "batch": batch.fence,
            "index": index,
            "request": batch.holder.request,
        }
        keys = self.keys.execution(identity, queue, batch.holder.node)
        return self.scripts.call("item", keys, base | order)

    def wake(
        self,
        pointer: Pointer,
        standing: Standing,
        states: Sequence[str],
        wake: dict[str, Any] | None,
        *,
        kept: str | None = None,
        **more: Any,
    ) -> Answer:
        """Tells a frame that something happened to it. Atomic, idempotent.

        `kept`: news that it has not decided on yet, for where there are no others.
        """
        identity = pointer.execution_id
        order = self._order(identity) | {
            "frame": pointer.frame,
            "fence": pointer.fence,
            "from": dict.fromkeys(states, True),
            "to": standing.order(),
        }
        if wake is not None or kept is not None:
            order["wake"] = kept if wake is None else self.packer.pack_detail(identity, wake)
        keys = self.keys.execution(identity, standing.queue)
        return self.scripts.call("wake", keys, order | more)

    def lose(
        self, pointer: Pointer, standing: Standing, wake: dict[str, Any] | None, kept: str | None
    ) -> Answer:
        """Takes a running frame from a lost worker; `kept`: news it had not decided on yet."""
        return self.wake(pointer, standing, ("RUNNING",), wake, kept=kept, lost=True)

    def expect(self, pointer: Pointer, child: str) -> Answer:
        """Says which child execution a claimed frame is about to start. Atomic, idempotent."""
        told = {"frame": pointer.frame, "fence": pointer.fence, "on": child}
        return self.verb("expect", pointer.execution_id, **told)

    def note(self, pointer: Pointer, event: NewEvent) -> Answer:
        """Writes an event of a claimed frame down while it is worked on. Atomic, idempotent."""
        identity = pointer.execution_id
        events = self.events(identity, pointer.frame, [event])
        return self.verb("note", identity, frame=pointer.frame, fence=pointer.fence, events=events)

    def finish(
        self,
        pointer: Pointer,
        holder: Holder,
        events: Sequence[NewEvent],
        status: str,
        end: dict[str, str],
        exact: int | None = None,
        failed: Frame | None = None,
    ) -> Answer:
        """Ends an execution; no fence in the pointer: one being stopped. Atomic, idempotent.

        `failed`: its root frame at the step that failed, kept for a redrive.
        """
        identity = pointer.execution_id
        order = self._order(identity) | {
            "fence": pointer.fence,
            "request": holder.request,
            "events": self.events(identity, "", events),
            "status": status,
            "end": end,
            "ttl_ms": round(self.settings.retention_s * 1000),
            "net_ms": round(NET_S * 1000),
        }
        if exact is not None:
            order["exact"] = exact
        if failed is not None:
            order["doc"] = self.pack_frame(identity, failed)
        return self.scripts.call("finish", self.keys.execution(identity, node=holder.node), order)

    def verb(self, verb: str, execution_id: str, queue: str = "", **order: Any) -> Answer:
        """A verb that needs no more than its order: ending, abort, resend, batch_lost."""
        keys = self.keys.execution(execution_id, queue)
        return self.scripts.call(verb, keys, self._order(execution_id) | order)

    # reading

    def state(self, execution_id: str, frame_id: str) -> dict[str, Any] | None:
        """Where a frame or batch stands: {st, fence, kind, ...}; None: it is not open."""
        text = self.redis.hget(self.keys.states(execution_id), frame_id)
        return json.loads(str(text)) if text else None

    def frame(self, execution_id: str, frame_id: str) -> Frame | None:
        """An open frame. Cost: O(its size)."""
        text = self.redis.hget(self.keys.frames(execution_id), frame_id)
        return self.unpack_frame(execution_id, str(text)) if text else None

    def frames(self, execution_id: str, frame_ids: Sequence[str]) -> list[Frame | None]:
        """Several frames, open or kept for a redrive. Cost: O(their size)."""
        texts: Any = self.redis.hmget(self.keys.frames(execution_id), list(frame_ids))
        return [self.unpack_frame(execution_id, text) if text else None for text in texts]

    def record(self, execution_id: str) -> dict[str, str]:
        """The fields of an execution's record, {} if there is none. Cost: O(1)."""
        return self.redis.hgetall(self.keys.record(execution_id))  # type: ignore[return-value]

    def check_version(self, execution_id: str) -> None:
        """Refuses to touch an execution whose state has a form that we do not know. Cost: O(1).

        Raises:
            ConcurrentUpdateError.
        """
        version = self.redis.hget(self.keys.record(execution_id), VERSION_FIELD)
        if version not in (None, STATE_VERSION):
            raise ConcurrentUpdateError(
                f"{execution_id} is kept in version {version} of the state, and this program knows "
                f"{STATE_VERSION}: use the penstock that has started it, or wait for its end"
            )

    def join(self, execution_id: str, join: str) -> dict[str, Any] | None:
        """The counters of an open join. Cost: O(1)."""
        text = self.redis.hget(self.keys.joins(execution_id), join)
        return json.loads(str(text)) if text else None

    @property
    def lease_ms(self) -> int:
        """How long a claim holds without renewal."""
        return round(self.settings.lease_s * 1000)

    # parts of orders

    def _order(self, execution_id: str) -> dict[str, Any]:
        grace = round(self.settings.dispatch_grace_s * 1000)
        order = {
            "id": execution_id,
            "call": new_id(),
            "grace_ms": grace,
            "max_eta": self.settings.max_eta_messages,
        }
        return order | ({"outbox": True} if self._outbox else {})

    def _claimed(
        self, claim: Claim, frame: Frame | None, events: Sequence[NewEvent], exact: int | None
    ) -> dict[str, Any]:
        identity = claim.pointer.execution_id
        order = self._order(identity) | {
            "frame": claim.pointer.frame,
            "fence": claim.pointer.fence,
            "request": claim.holder.request,
            "events": self.events(identity, claim.pointer.frame, events),
        }
        if frame is not None:
            order["doc"] = self.pack_frame(identity, frame)
        if exact is not None:
            order["exact"] = exact
        return order

    def _keys(self, claim: Claim, queue: str = "") -> tuple[str, ...]:
        return self.keys.execution(claim.pointer.execution_id, queue, claim.holder.node)


def _streamed(closed: dict[str, Any]) -> dict[str, int]:
    """What all edges of a stream have carried, as the scripts count it."""
    edges = closed.get("edges", ())
    return {
        "bytes": sum(edge["bytes"] for edge in edges),
        "blocked_ms": round(sum(edge["blocked_s"] for edge in edges) * 1000),
    }
