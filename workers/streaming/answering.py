"""A helper: a process that takes part in a run that another one leads."""

from __future__ import annotations

import json
import time
import uuid

from engine.core import scheduler
from engine.core.frame import run_key
from engine.runtime.pointer import Pointer
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from workers.streaming.messages import Call
from workers.streaming.party import Party
from workers.streaming.plan import Plan
from workers.streaming.seats import Seats

LOOK_S = 0.25
"""How often a helper looks after its lease and its run."""

MARGIN_S = 5.0
"""How much longer than the lead gathers a helper waits for its plan."""


class Helper:
    """Answers a stream's call."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def run(self, call: Call, node: str) -> None:
        """Takes the part of a run that its plan gives to this process, or one that was lost.

        Blocking, until that part is done or nobody wants it any more. A call that comes late, or
        once more, finds nothing to do.
        """
        work = self._work(call)
        if work is None:
            return
        party = Party(self._runtime, work, node)
        wanted, plan = self._answer(party)
        if plan is None:
            return
        seats = party.seats(plan)
        for number in wanted:
            seats.take(number)
        if seats.any:
            self._work_at(party, seats)

    def _answer(self, party: Party) -> tuple[list[int], Plan | None]:
        """The seats that this process may take, and the plan, if there is one."""
        told = party.offer().to_json() | {"id": uuid.uuid4().hex}
        ticket = party.bridge.offer(json.dumps(told))
        if ticket is not None:
            patience_s = self._runtime.store.settings.stream_gather_s + MARGIN_S
            party.bridge.seat(ticket, patience_s)
        published = party.bridge.plan()
        if published is None:
            return [], None
        plan = Plan.of(published)
        if ticket is None:
            return party.bridge.lost(), plan
        return [n for n, seat in enumerate(plan.seats) if seat.ticket == ticket], plan

    def _work_at(self, party: Party, seats: Seats) -> None:
        renewed = time.monotonic()
        try:
            while seats.any:
                party.news.wait(LOOK_S)
                party.news.clear()
                seats.tend()
                self._replace(party, seats)
                if time.monotonic() - renewed > self._runtime.store.settings.lease_s / 4:
                    renewed = time.monotonic()
                    seats.renew()
        finally:
            seats.leave("the helper leaves")
            if party.bridge.status().is_over:  # its lead may be on another host
                party.drop_kept()

    def _replace(self, party: Party, seats: Seats) -> None:
        """Takes what was lost: the lead's successor may be waiting for the slot of this process."""
        for number in party.bridge.lost():
            seats.take(number)

    def _work(self, call: Call) -> Work | None:
        """The stream that is called for, None if it is over."""
        store = self._runtime.store
        frame = store.frame(call.execution_id, call.frame)
        definition = store.record(call.execution_id).get("definition")
        if frame is None or frame.step is None or definition is None or run_key(frame) != call.run:
            return None
        graph = self._runtime.definitions.graph(definition)
        pointer = Pointer(
            call.flow, call.execution, call.step, frame.step.attempt, call.frame, "", "task"
        )
        told = scheduler.task_call(graph, frame, self._runtime.info(pointer, 1))
        return Work(pointer, graph, frame, told)
