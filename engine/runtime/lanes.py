"""Lanes: a message that carries items of a fork, as many as pay, each settled on its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.core import happenings as hap
from engine.core import scheduler
from engine.core.commands import Decision, Finish, Fork, RunTask
from engine.core.events import EventType, NewEvent
from engine.core.frame import Frame
from engine.core.graph import Graph
from engine.runtime import forks
from engine.runtime.claims import Batch, Holder
from engine.runtime.kept import kept_items
from engine.runtime.pointer import Pointer
from engine.runtime.runner import Runner, Work
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer, Verdict
from engine.runtime.sending import again, inline_task, standing
from engine.runtime.standing import Standing

QUICK_ITEM_S = 0.02
"""Items that take longer than this travel one by one."""

BATCH_S = 0.25
"""How long a batch of quick items should take."""

MAX_BATCH = 200


class Lanes:
    """Runs lanes in one process, and learns how long items take there."""

    def __init__(self, runtime: Runtime, runner: Runner) -> None:
        self.runtime = runtime
        self.runner = runner
        self._item_s: dict[str, float] = {}

    def run(self, pointer: Pointer, holder: Holder) -> Verdict:
        """Takes items of a fork and runs them, until there are no more in this batch."""
        batch = self.runtime.store.lane(
            pointer, holder, self._wanted(pointer), self.runtime.fleet.slots()
        )
        if not isinstance(batch, Batch):
            return batch
        graph = self.runtime.definitions.graph(batch.definition)
        begun = time.monotonic()
        done = BatchRun(self.runtime, self.runner, graph, batch).run()
        self._learn(pointer, (time.monotonic() - begun) / max(1, done))
        return Verdict.APPLIED

    def _wanted(self, pointer: Pointer) -> int:
        item_s = self._item_s.get(f"{pointer.flow}/{pointer.step}")
        if item_s is None or item_s > QUICK_ITEM_S:
            return 1
        return max(1, min(MAX_BATCH, int(BATCH_S / max(item_s, 1e-4))))

    def _learn(self, pointer: Pointer, item_s: float) -> None:
        key = f"{pointer.flow}/{pointer.step}"
        known = self._item_s.get(key, item_s)
        self._item_s[key] = max(item_s, 0.5 * known + 0.5 * item_s)


class BatchRun:
    """One batch from its first item to its last."""

    def __init__(self, runtime: Runtime, runner: Runner, graph: Graph, batch: Batch) -> None:
        self.runtime = runtime
        self.runner = runner
        self.graph = graph
        self.batch = batch
        self.items = forks.collection_of(graph, batch.parent)
        self.info = runtime.info(batch.pointer, batch.next_event_id)
        self.inline = self._inline()
        self.kept = kept_items(runtime, batch) if batch.redriven else {}

    def run(self) -> int:
        """Runs the items; how many it got through before the batch ended or was taken away."""
        opened: Decision | None = None
        for done, index in enumerate(range(self.batch.first, self.batch.stop)):
            begun = opened or self._begin(index)
            follower = None
            if index in self.kept:
                answer = self._hand_on(index, self.kept[index], hap.Redriven())
            elif not self._runs_here(begun):
                answer = self._park(index, begun, begun.events)
            elif opened is None and not self._open(index, begun):
                return done
            else:
                follower = self._follower(index + 1)
                answer = self._work(index, begun, follower)
            if not answer.applied or answer.values[0] != "more":
                return done + 1
            opened = follower if answer.values[-1] == 1 else None
        return self.batch.stop - self.batch.first

    def _inline(self) -> bool:
        assert self.batch.parent.step is not None
        if self.batch.pointer.fence == forks.PARKS:
            return False
        first = forks.first_node(self.graph, self.graph.node(self.batch.parent.step.path))
        return first is not None and inline_task(self.runtime, first) is not None

    def _follower(self, index: int) -> Decision | None:
        """The start of the next item, if it is one that runs here."""
        if index >= self.batch.stop or index in self.kept:
            return None
        begun = self._begin(index)
        return begun if self._runs_here(begun) else None

    def _begin(self, index: int) -> Decision:
        item = None if self.items is None else self.items[index]
        child = scheduler.open_child(self.graph, self.batch.parent, index, item)
        return scheduler.begin(self.graph, child, self.info)

    def _runs_here(self, begun: Decision) -> bool:
        return self.inline and isinstance(begun.command, RunTask) and not begun.exact_ids

    def _open(self, index: int, begun: Decision) -> bool:
        events = self._rows(begun, self._first_events(begun))
        order = {"events": events, "to": {"st": "OPEN"}}
        return self.runtime.store.item(self.batch, index, order).applied

    def _work(self, index: int, begun: Decision, follower: Decision | None) -> Answer:
        """Runs the item's task here and settles it, with the first events of the next item."""
        frame = begun.frame
        assert frame.step is not None
        name = self.graph.node(frame.step.path).step.name
        pointer = replace(self.batch.pointer, frame=frame.id, step=name, kind="task")
        call = scheduler.task_call(self.graph, frame, self.info)
        work = Work(pointer, self.graph, frame, call, self.batch.fence)
        happening = self.runner.run(work)
        decision = scheduler.decide(self.graph, frame, happening, self.info)
        if isinstance(decision.command, Fork) or decision.exact_ids:
            return self._hand_on(index, frame, happening)
        if not isinstance(decision.command, Finish):
            return self._park(index, decision, decision.events)
        order = self._ended(decision, decision.command)
        if follower is not None:
            order["next_events"] = self._rows(follower, self._first_events(follower))
        return self.runtime.store.item(self.batch, index, order)

    def _park(self, index: int, decision: Decision, events: Sequence[NewEvent]) -> Answer:
        """Settles an item whose frame goes on by messages of its own, or has ended already."""
        command = decision.command
        if isinstance(command, Finish):
            return self.runtime.store.item(self.batch, index, self._ended(decision, command))
        if isinstance(command, Fork) or decision.exact_ids:
            return self._hand_on(index, None, None)
        to = standing(
            self.runtime, self.batch.pointer, self.graph, decision, self.batch.holder.request
        )
        return self._stand(index, decision.frame, self._rows(decision, events), to)

    def _hand_on(self, index: int, frame: Frame | None, happening: hap.Happening | None) -> Answer:
        """Lets a message of its own go on with an item: from its start, or with its task's end."""
        rows: list[list[Any]] = []
        if frame is None:
            item = None if self.items is None else self.items[index]
            frame = scheduler.open_child(self.graph, self.batch.parent, index, item)
        to = again(self.runtime, replace(self.batch.pointer, frame=frame.id))
        return self._stand(index, frame, rows, to, news_of(happening))

    def _stand(
        self,
        index: int,
        frame: Frame,
        rows: list[list[Any]],
        to: Standing,
        news: dict[str, Any] | None = None,
    ) -> Answer:
        identity = self.batch.pointer.execution_id
        order: dict[str, Any] = to.order() | {"frame": frame.id}
        if news is not None:
            order["wake"] = self.runtime.store.packer.pack_detail(identity, news)
        doc = self.runtime.store.pack_frame(identity, frame)
        whole = {"events": rows, "to": order, "doc": doc}
        return self.runtime.store.item(self.batch, index, whole, to.queue)

    def _ended(self, decision: Decision, finish: Finish) -> dict[str, Any]:
        to = forks.ended_child(self.runtime, self.batch.pointer, finish)
        order: dict[str, Any] = {"events": self._rows(decision, decision.events), "to": to}
        if finish.failed:
            identity = self.batch.pointer.execution_id
            order["doc"] = self.runtime.store.pack_frame(identity, decision.frame)
        return order

    def _first_events(self, begun: Decision) -> list[NewEvent]:
        event = scheduler.started(self.graph, begun.frame, self.batch.holder.node)
        return [*begun.events, event]

    def _rows(self, decision: Decision, events: Sequence[NewEvent]) -> list[list[Any]]:
        """Events of an item; the first event of an item is caused by the fork."""
        entered = events and events[0].type in (
            EventType.ITERATION_ENTERED,
            EventType.BRANCH_ENTERED,
        )
        cause: int | str = self.batch.fork_event_id if entered else ""
        identity = self.batch.pointer.execution_id
        return self.runtime.store.events(identity, decision.frame.id, events, cause)


def news_of(happening: hap.Happening | None) -> dict[str, Any] | None:
    """What a task came to, in the form in which it waits in the store for the next claim."""
    match happening:
        case hap.TaskReturned(result):
            return {"kind": "returned", "result": result}
        case hap.TaskRaised(error, cause):
            return {"kind": "raised", "error": error, "cause": cause, "own": True}
        case hap.TaskTimedOut():
            return {"kind": "timeout"}
        case hap.Redriven():
            return {"kind": "redriven"}
        case _:
            return None
