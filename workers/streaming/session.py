"""A session: one attempt to lead the run of a stream step, from its plan to its end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import chain, cycle, islice
from random import uniform
from typing import Any

from celery import Celery

from engine.core import happenings as hap
from engine.core import scheduler
from engine.core.commands import RunTask
from engine.core.frame import Frame, run_key, visit_key
from engine.core.states import ExecutionStatus
from engine.core.streaming import SINK, SOURCE, TO_CALLER, TO_NOBODY, stream_local
from engine.errors import ExecutionAlreadyCompleted, ExecutionNotExists
from engine.runtime.ending import Ending
from engine.runtime.scripts import STORE_ERRORS
from engine.runtime.sending import served_names
from engine.runtime.streaming import SENDS, source_spool
from streams.errors import StreamCancelled
from streams.run import RunStatus
from streams.shared import RING_WINDOWS, has_room
from workers.context import context_of
from workers.streaming.figures import carried, closed_detail
from workers.streaming.messages import Call, call_helpers
from workers.streaming.party import Party
from workers.streaming.plan import Offer, Plan, Wanted, make_plan
from workers.streaming.seats import Seats

LOOK_S = 0.02
SLOW_LOOK_S = 0.1
QUICK_S = 2.0
"""How often it is looked how the others come along, and how long it is done quickly once the lead's
own part is over: 50 looks a second beside it cost a photo in one process 0.06 s of 1.5 s."""

CALL_EVERY_S = 1.0
"""How often others are asked to take a seat that was lost and cannot be taken here."""

ASK_EVERY_S = 0.5
"""How often it is asked whether anybody still wants the result."""

HOLD_S = 2.0
"""About how long a slot waits for somebody who has the task of a stage. No two wait equally long:
of two streams that need each other's slots one then goes on."""

FIRST_PUT_OFF_S = 1.0
MOST_PUT_OFF_S = 8.0
"""About when it tries again, in a slot of somebody, if nobody has come."""

CALLER_GONE = "CallerGone"
DESERTED = "the program that streamed this execution is not there any more; start a new one"
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
        self._renewed = self._asked = self._called = self._worked = float("-inf")
        self.cut_off = False

    def run(self, over: Callable[[], bool]) -> hap.Happening:
        """Runs the stream. Blocking. `over`: whether the pool's time limit has passed."""
        self.bridge.begin()
        if self._is_deserted():
            return hap.TaskRaised(CALLER_GONE, DESERTED)
        plan = self._plan()
        if plan is None:
            return self._unplanned(over())
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
            with suppress(*STORE_ERRORS):  # what is said of them has an end of its own
                self._streams.vacate(self._others(plan))

    def _unplanned(self, over: bool) -> hap.Happening:
        """What comes of a run without a plan: it was ended, or those who are missing are busy.

        Those are asked again later, and this slot is free meanwhile. If they are gone it is found
        out when the attempt's turn comes.
        """
        status = self.bridge.status()
        if status.is_over:
            return hap.TaskRaised(status.error or CANCELLED, status.cause)
        self.bridge.close()
        if over:
            return hap.TaskTimedOut()
        state = self._runtime.store.state(self._identity, self.work.frame.id) or {}
        delay_s = min(MOST_PUT_OFF_S, FIRST_PUT_OFF_S * 2.0 ** min(state.get("goes_on", 0), 10))
        self._context.log.info("put off: %s busy", ", ".join(self.party.missing()))
        return hap.PutOff(delay_s * uniform(0.5, 1.5))

    def _is_deserted(self) -> bool:
        """True if the step would begin without the caller that its execution was started with.

        What that has sent is gone: an empty input must not pass for it. Nobody would have the
        output either.
        """
        if self._caller.present() or self.bridge.plan() is not None:
            return False
        told = self._runtime.store.record(self._identity).get("caller")
        reads = self.call.source is None and told == SENDS
        return reads or (self.call.sink is None and told is not None)

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
        came = self._gather(wanted)
        plan = make_plan(wanted, came)
        if plan is None:
            return None
        plan = replace(self._with_ends(plan), memory=self._memory(plan, came))
        try:
            return Plan.of(self.bridge.open(plan.to_json(), len(plan.seats)))
        except StreamCancelled:
            return None

    def _with_ends(self, plan: Plan) -> Plan:
        """Asks for the caller's ends, once for the whole run."""
        visit, run = visit_key(self.work.frame), run_key(self.work.frame)
        objects = {SOURCE: self.call.source, SINK: self.call.sink}
        lent = self._caller.lends(visit, run, [end for end in objects if objects[end] is None])
        return replace(plan, from_caller=SOURCE in lent, to_caller=SINK in lent)

    def _memory(self, plan: Plan, came: list[Offer]) -> str:
        """The shared memory of all who came and of all who could take over, if it has room."""
        rings = RING_WINDOWS * self.call.window_bytes * (len(plan.seats) - 1)
        if not rings or not has_room(rings, self._settings.stream_memory):
            return ""
        seen = {offer.memory for offer in came} | {self._runtime.fleet.memory()}
        return self.party.memory if seen == {self.party.memory} else ""

    def _gather(self, wanted: Wanted) -> list[Offer]:
        """Asks for as many helpers as there is use and room for; who came in time."""
        missing = [n for n in range(len(self.call.stages)) if n not in self.party.stages]
        count = max(len(missing), min(wanted.most_seats - 1, self._free_slots()))
        came = [self.party.offer()]
        if count > 0:
            self._call_helpers(count, missing)
            came += self._offers(count, missing)
        return came

    def _offers(self, count: int, missing: list[int]) -> list[Offer]:
        """Who offers to help: so many, if they come soon; those who are missing are held for."""
        until = time.monotonic() + HOLD_S * uniform(0.5, 1.5)
        number = self.bridge.offers(count, self._settings.stream_gather_s)
        while True:
            told = sorted(self.bridge.offered().items())
            came = [Offer.of(ticket, json.loads(text)) for ticket, text in told]
            left_s = until - time.monotonic()
            if left_s <= 0 or not set(missing).difference(*(offer.able for offer in came)):
                return came
            number = self.bridge.offers(number + 1, left_s)

    def _free_slots(self) -> int:
        """How many slots of workers that have all tasks are free, as far as is known."""
        names = [served_names(stage.resource) for stage in self.call.stages]
        slots = sum(
            worker.slots
            for worker in self._runtime.fleet.workers()
            if all(any(name in worker.tasks for name in each) for each in names)
        )
        return max(0, slots - max(1, self._streams.busy()))

    def _call_helpers(self, count: int, needed: Iterable[int]) -> None:
        """Calls so many, first of all some who serve the stages that are needed."""
        pointer = self.work.pointer
        every = range(len(self.call.stages))
        positions = islice(chain(needed, cycle([*every[1:], 0])), count)
        shares = Counter(self._queue_of(position) for position in positions)
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
        return {"run": self.bridge.run, "segments": segments, "why": plan.why, "via": plan.via}

    # until its end

    def _lead(self, seats: Seats, over: Callable[[], bool]) -> hap.Happening:
        while True:
            self.party.news.wait(self._pause_s(seats))
            self.party.news.clear()
            seats.tend()
            status = self.bridge.status()
            if (ended := self._ended(seats.plan, status)) is not None:
                return ended
            if over():
                self.bridge.cancel("its time is over")
                return hap.TaskTimedOut(closed=self._closed(seats.plan, status))
            with suppress(*STORE_ERRORS):  # it may be back soon; else the edges give up
                self._keep(seats)
            if self.cut_off:
                return hap.TaskRaised(CANCELLED, "the step was cut off")
            self._replace(seats)

    def _pause_s(self, seats: Seats) -> float:
        """A lead that works itself is told when its part is over, and need not look so often."""
        now = time.monotonic()
        if seats.any:
            self._worked = now
        waits = not seats.any and now - self._worked < QUICK_S
        return LOOK_S if waits else SLOW_LOOK_S

    def _ended(self, plan: Plan, status: RunStatus) -> hap.Happening | None:
        """What the run has come to, None while it runs."""
        match status.state:
            case "done":
                return self._done(plan, status)
            case "failed":
                self._drop_sink()
                closed = self._closed(plan, status)
                return hap.TaskRaised(status.error, status.cause, closed=closed)
            case "cancelled" | "gone":
                self._drop_unfinished_sink()
                return hap.TaskRaised(CANCELLED, status.cause or "its keys are gone")
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

    def _drop_unfinished_sink(self) -> None:
        """The same, unless somebody else has written it to its end: that is still to be read."""
        with suppress(StreamCancelled):  # it is gone
            if not self._caller.sink(self.bridge.run).progress().ended:
                self._drop_sink()

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
                self.cut_off = True
            elif uses_caller(seats.plan) and not self._caller.present():
                self._stop_execution()

    def _replace(self, seats: Seats) -> None:
        """Takes the seats of those who died, or asks for others who have the tasks."""
        for number in self.bridge.lost():
            if seats.can_take(number):
                seats.take(number)
            elif not seats.holds(number) and time.monotonic() - self._called > CALL_EVERY_S:
                self._called = time.monotonic()
                self._call_helpers(1, seats.plan.seats[number].stages)

    def _stop_execution(self) -> None:
        pointer, stopped = self.work.pointer, ExecutionStatus.STOPPED
        cause = "the program that read its stream has gone away"
        try:
            Ending(self._runtime).stop(pointer.flow, pointer.execution, stopped, CALLER_GONE, cause)
        except (ExecutionAlreadyCompleted, ExecutionNotExists):
            return

    def tidy(self) -> None:
        """Removes what the run has left, but for what its caller is still to read.

        A run that another attempt goes on with is left alone; so is the source, while the visit
        may have another run.
        """
        visit_goes_on, run_goes_on = self._in_other_hands()
        if run_goes_on:
            return
        self.bridge.close()
        self._streams.drop_spools(self._identity, self.bridge.run)
        if not visit_goes_on:
            self._streams.drop_spools(self._identity, source_spool(visit_key(self.work.frame)))
        if not self._caller.present():
            self._caller.detach()
            self._drop_sink()
        elif self.cut_off:
            self._drop_unfinished_sink()
        self._streams.sweep_spools()

    def _in_other_hands(self) -> tuple[bool, bool]:
        """Whether others go on with this visit of the step, and whether they do with this run.

        News that wait for the frame count as taken: its next claim may wait for this very slot.
        """
        store, frame_id = self._runtime.store, self.work.frame.id
        ending = "ending" in store.record(self._identity)
        state = store.state(self._identity, frame_id)
        if ending or state is None:
            return False, False
        frame = store.frame(self._identity, frame_id)
        wake = state.get("wake")
        if frame is not None and wake and run_key(frame) == run_key(self.work.frame):
            frame = self._after(frame, store.packer.unpack_detail(self._identity, wake)["kind"])
        if frame is None or frame.step is None or visit_key(frame) != visit_key(self.work.frame):
            return False, False
        return True, run_key(frame) == run_key(self.work.frame)

    def _after(self, frame: Frame, news: str) -> Frame | None:
        """The frame as it will be after the news, if it then has another attempt; else None."""
        happening: hap.Happening
        match news:
            case "lost":
                happening = hap.WorkerLost()
            case "timeout":
                happening = hap.TaskTimedOut()
            case _:
                return None
        info = self._runtime.info(self.work.pointer, 1)
        decision = scheduler.decide(self.work.graph, frame, happening, info)
        return decision.frame if isinstance(decision.command, RunTask) else None

    def _others(self, plan: Plan) -> list[str]:
        return [f"{self._identity}|{self.bridge.run}|{n}" for n in range(1, len(plan.seats))]


def uses_caller(plan: Plan) -> bool:
    """True if a caller is at one of a run's outer ends."""
    return plan.from_caller or plan.to_caller
