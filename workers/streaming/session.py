"""A session: one attempt to lead the run of a stream step, from its plan to its end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery import Celery

from engine.core import happenings as hap
from engine.core import scheduler
from engine.core.frame import run_key, visit_key
from engine.core.outcomes import FUNCTION_NOT_FOUND
from engine.core.states import ExecutionStatus
from engine.core.streaming import SOURCE, TO_CALLER, TO_NOBODY, stream_local
from engine.errors import ExecutionAlreadyCompleted, ExecutionNotExists
from engine.runtime.ending import Ending
from engine.runtime.sending import served_names
from streams.errors import StreamCancelled
from streams.run import RunStatus
from workers.context import context_of
from workers.streaming.figures import carried, closed_detail
from workers.streaming.messages import Call, call_helpers
from workers.streaming.party import Party
from workers.streaming.plan import Offer, Plan, Wanted, make_plan
from workers.streaming.seats import Seats

LOOK_S = 0.02
SLOW_LOOK_S = 0.1
QUICK_S = 2.0
"""How often it is looked how the others come along, and how long it is done quickly."""

ASK_EVERY_S = 0.5
"""How often it is asked whether anybody still wants the result."""

CALLER_GONE = "CallerGone"
CANCELLED = "StreamCancelled"


class Session:
    """Leads one run until it has ended, or nobody wants it any more."""

    def __init__(self, party: Party, app: Celery) -> None:
        self.party = party
        self.work, self.call, self.bridge = party.work, party.call, party.bridge
        self._runtime = party.runtime
        self._streams = party.runtime.streams
        self._settings = party.runtime.store.settings
        self._app = app
        self._identity = self.work.pointer.execution_id
        self._caller = self._streams.caller(self._identity)
        self._context = context_of(party.runtime, self.work)
        self._renewed = self._asked = float("-inf")

    def run(self, over: Callable[[], bool]) -> hap.Happening:
        """Runs the stream. Blocking. `over`: whether the pool's time limit has passed."""
        self.bridge.begin()
        plan = self._plan()
        if plan is None:
            return self._unplanned()
        event = scheduler.stream_opened(self.work.graph, self.work.frame, self._opened(plan))
        self._runtime.store.note(self.work.pointer, event)
        seats = self.party.seats(plan)
        try:
            for number, seat in enumerate(plan.seats):
                if seat.ticket == 0:
                    seats.take(number)
            return self._lead(seats, over)
        finally:
            seats.leave("the stream has ended")
            self._streams.vacate(self._others(plan))

    def _unplanned(self) -> hap.Happening:
        """Why there is no plan: the run was ended before there was one, or somebody is missing."""
        status = self.bridge.status()
        if status.is_over:
            return hap.TaskRaised(status.error or CANCELLED, status.cause)
        names = ", ".join(self.party.missing())
        return hap.TaskRaised(FUNCTION_NOT_FOUND, f"no worker that has {names} has come")

    # the plan

    def _plan(self) -> Plan | None:
        """The plan that holds; None: for some stage nobody has come, or the run is over."""
        if (published := self.bridge.plan()) is not None:
            return Plan.of(published)
        wanted = Wanted(
            tuple(stage.concurrency for stage in self.call.stages),
            self.call.fuse,
            self._streams.learned(self._name()),
        )
        plan = make_plan(wanted, self._gather(wanted))
        if plan is None:
            return None
        plan = self._with_ends(plan)
        try:
            return Plan.of(self.bridge.open(plan.to_json(), len(plan.seats)))
        except StreamCancelled:
            return None

    def _with_ends(self, plan: Plan) -> Plan:
        """Asks for the caller's ends, once for the whole run."""
        visit, run = visit_key(self.work.frame), run_key(self.work.frame)
        return replace(
            plan,
            from_caller=self.call.source is None and self._caller.lends_source(visit),
            to_caller=self.call.sink is None and self._caller.lends_sink(visit, run),
        )

    def _gather(self, wanted: Wanted) -> list[Offer]:
        """Asks for as many helpers as there is use and room for; who came in time."""
        missing = [n for n in range(len(self.call.stages)) if n not in self.party.stages]
        count = min(wanted.most_seats - 1, self._free_slots())
        patience_s = self._settings.stream_gather_s
        if missing:
            count = max(count, len(missing))
            patience_s = max(patience_s, self._settings.resource_grace_s)
        came = [self.party.offer()]
        if count > 0:
            self._call_helpers(count)
            self.bridge.offers(count, patience_s)
            for ticket, told in sorted(self.bridge.offered().items()):
                came.append(Offer.of(ticket, json.loads(told)))
        return came

    def _free_slots(self) -> int:
        """How many slots of workers that have all tasks are free, as far as is known."""
        names = [served_names(stage.resource) for stage in self.call.stages]
        slots = sum(
            worker.slots
            for worker in self._runtime.fleet.workers()
            if all(any(name in worker.tasks for name in each) for each in names)
        )
        return max(0, slots - max(1, self._streams.busy()))

    def _call_helpers(self, count: int) -> None:
        pointer = self.work.pointer
        queues = [self._queue_of(stage) for stage in range(len(self.call.stages))]
        shares = Counter(queues[n % len(queues)] for n in range(1, count + 1))
        run = run_key(self.work.frame)
        call = Call(pointer.flow, pointer.execution, pointer.step, self.work.frame.id, run)
        call_helpers(self._app, call, self.work.call.resource.display, shares)

    def _queue_of(self, position: int) -> str:
        served = self._runtime.fleet.serving(served_names(self.call.stages[position].resource))
        return self._settings.queue if served is None else served.queue

    def _name(self) -> str:
        """What is known of earlier runs is kept by the flow and its step."""
        frame = self.work.frame
        assert frame.step is not None
        return f"{self.work.pointer.flow}/{frame.step.path}"

    def _opened(self, plan: Plan) -> dict[str, Any]:
        segments = [
            {
                "stages": [self.call.stages[position].name for position in seat.stages],
                "worker": seat.node,
                "pid": seat.pid,
            }
            for seat in plan.seats
        ]
        return {"run": self.bridge.run, "segments": segments, "why": plan.why}

    # until its end

    def _lead(self, seats: Seats, over: Callable[[], bool]) -> hap.Happening:
        begun = time.monotonic()
        while True:
            self.party.news.wait(LOOK_S if time.monotonic() - begun < QUICK_S else SLOW_LOOK_S)
            self.party.news.clear()
            seats.tend()
            status = self.bridge.status()
            if (ended := self._ended(seats.plan, status)) is not None:
                return ended
            if over():
                self.bridge.cancel("its time is over")
                return hap.TaskTimedOut(closed=self._closed(seats.plan, status))
            self._keep(seats)
            self._replace(seats)

    def _ended(self, plan: Plan, status: RunStatus) -> hap.Happening | None:
        """What the run has come to, None while it runs."""
        match status.state:
            case "done":
                return self._done(plan, status)
            case "failed":
                self._drop_sink()
                closed = self._closed(plan, status)
                return hap.TaskRaised(status.error, status.cause, closed=closed)
            case "cancelled":
                self._drop_sink()
                return hap.TaskRaised(CANCELLED, status.cause)
            case _:
                return None

    def _done(self, plan: Plan, status: RunStatus) -> hap.Happening:
        results: dict[str, dict[str, Any]] = {}
        for number in range(len(plan.seats)):
            for stage, result in status.outcomes[number]["results"].items():
                results[stage] = results.get(stage, {}) | result
        in_order = {stage.name: results[stage.name] for stage in self.call.stages}
        total = status.outcomes[len(plan.seats) - 1]["total"]
        sink = self.call.sink or (TO_CALLER if plan.to_caller else TO_NOBODY)
        local = stream_local(total["chunks"], total["bytes"], total["sha256"], sink, in_order)
        if self.call.fuse is None:
            self._streams.learn(self._name(), carried(self.call, plan, status.outcomes))
        return hap.TaskReturned(local, closed=self._closed(plan, status))

    def _closed(self, plan: Plan, status: RunStatus) -> dict[str, Any]:
        return closed_detail(self.call, plan, status.outcomes, status.takeovers)

    def _drop_sink(self) -> None:
        """Lets a caller know at once that nothing more will come of this run."""
        self._caller.sink(self.bridge.run).delete()

    def _keep(self, seats: Seats) -> None:
        """Renews what is held, and asks whether anybody still wants the result."""
        now = time.monotonic()
        lease_s = self._settings.lease_s
        if now - self._renewed > lease_s / 4:
            self._renewed = now
            seats.renew()
            self._streams.occupy(dict.fromkeys(self._others(seats.plan), 2 * lease_s))
        if now - self._asked > ASK_EVERY_S:
            self._asked = now
            if self._context.cancelled:
                self.bridge.cancel("the step was cut off")
            elif uses_caller(seats.plan) and not self._caller.present():
                self._stop_execution()

    def _replace(self, seats: Seats) -> None:
        """Takes the seats of those who died, or asks for others who have the tasks."""
        for number in self.bridge.lost():
            if not seats.can_take(number):
                self._call_helpers(1)
            else:
                seats.take(number)

    def _stop_execution(self) -> None:
        pointer, stopped = self.work.pointer, ExecutionStatus.STOPPED
        cause = "the program that read its stream has gone away"
        try:
            Ending(self._runtime).stop(pointer.flow, pointer.execution, stopped, CALLER_GONE, cause)
        except (ExecutionAlreadyCompleted, ExecutionNotExists):
            return

    def tidy(self, succeeded: bool) -> None:
        """Removes what the run has left, but for what its caller is still to read."""
        self.bridge.close()
        self._streams.drop_spools(self._identity, self.bridge.run)
        if succeeded:  # else it may be read again
            self._streams.drop_spools(self._identity, SOURCE)
        self._streams.sweep_spools()

    def _others(self, plan: Plan) -> list[str]:
        return [f"{self._identity}|{self.bridge.run}|{n}" for n in range(1, len(plan.seats))]


def uses_caller(plan: Plan) -> bool:
    """True if a caller is at one of a run's outer ends."""
    return plan.from_caller or plan.to_caller
