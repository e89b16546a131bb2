"""Carrying: decisions on a flow whose state travels in Celery's messages instead of the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core import scheduler
from engine.core.codec import frame_from_json, frame_to_json
from engine.core.commands import Command, Decision, Finish, Fork
from engine.core.frame import Frame, index_of
from engine.core.graph import Graph
from engine.core.happenings import Happening, Joined, JoinFailed, RunInfo
from engine.core.outcomes import RUNTIME_ERROR, Failure, tolerance_exceeded
from engine.fdl.model import ParallelStep
from engine.runtime.forks import collection_of


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that has ended, as a join needs it. `at`: when, in seconds since the epoch."""

    index: int
    result: dict[str, Any]
    failed: bool = False
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Carried:
    """The state of a flow in plain Celery; within a group: of one lane of it.

    `definition` is the id of the flow's text. `frame` is the flow's own frame; where it stands at
    a fork, `child` is the lane's open child and `ended` its children that have ended. `tolerated`:
    as in a Fork.
    """

    definition: str
    frame: Frame
    tolerated: int | None = None
    child: Frame | None = None
    ended: tuple[Ended, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The state as a message holds it."""
        return {
            "definition": self.definition,
            "frame": frame_to_json(self.frame),
            "tolerated": self.tolerated,
            "child": frame_to_json(self.child) if self.child else None,
            "ended": [[one.index, one.result, one.failed, one.at] for one in self.ended],
        }

    def stands_at(self, step_name: str) -> bool:
        """True when the flow's own frame is at the step of this name."""
        step = self.frame.step
        return step is not None and step.path.rpartition("/")[2] == step_name

    @property
    def lost(self) -> bool:
        """True when this lane's failures alone fail the fork."""
        return sum(one.failed for one in self.ended) > (self.tolerated or 0)


def carried_from_json(written: dict[str, Any]) -> Carried:
    """The state that `Carried.to_json` has written."""
    return Carried(
        written["definition"],
        frame_from_json(written["frame"]),
        written["tolerated"],
        frame_from_json(written["child"]) if written["child"] else None,
        tuple(Ended(*one) for one in written["ended"]),
    )


class Carrier:
    """Takes carried states further. Pure, but for the time at which children end."""

    def __init__(self, graph: Graph, info: RunInfo) -> None:
        self.graph = graph
        self.info = info

    def begin(self, definition: str, input: dict[str, Any]) -> tuple[Carried, Command]:
        """The state of a flow that has just begun, and what it asks for."""
        frame = scheduler.open_root(self.graph, input)
        begun = scheduler.begin(self.graph, frame, self.info)
        return self._settled(Carried(definition, frame), begun)

    def enter(self, carried: Carried, frame_id: str) -> Carried:
        """The state with the child of this id opened, unless it was before or there is none."""
        index = index_of(frame_id)
        open_now = carried.child is not None and carried.child.id == frame_id
        if open_now or any(one.index == index for one in carried.ended):
            return carried
        if index >= self._total(carried.frame):
            return carried
        decision = self._begin_child(carried.frame, index)
        return self._settled(carried, decision)[0]

    def react(self, carried: Carried, happening: Happening) -> tuple[Carried, Command]:
        """The state after something happened where it stands, and what it asks for then."""
        frame = carried.child or carried.frame
        return self._settled(carried, scheduler.decide(self.graph, frame, happening, self.info))

    def join(self, lanes: Sequence[Carried]) -> tuple[Carried, Command]:
        """One state of the states of all lanes of a fork."""
        ended = [one for lane in lanes for one in lane.ended]
        whole = replace(lanes[0], child=None, ended=(), tolerated=None)
        happening = joined(ended, lanes[0].tolerated)
        total = self._total(whole.frame)
        if isinstance(happening, Joined) and len(ended) != total:
            cause = f"the canvas was built for {len(ended)} items or fewer, and there are {total}"
            happening = JoinFailed(RUNTIME_ERROR, cause)
        return self.react(whole, happening)

    def _total(self, parent: Frame) -> int:
        items = collection_of(self.graph, parent)
        assert parent.step is not None
        step = self.graph.node(parent.step.path).step
        return len(step.branches) if isinstance(step, ParallelStep) else len(items or ())

    def _settled(self, carried: Carried, decision: Decision) -> tuple[Carried, Command]:
        decision = self._without_idle_forks(decision)
        command = decision.command
        if not decision.frame.id:
            tolerated = command.tolerated if isinstance(command, Fork) else None
            return replace(carried, frame=decision.frame, tolerated=tolerated), command
        if not isinstance(command, Finish):
            return replace(carried, child=decision.frame), command
        one = ended_as(index_of(decision.frame.id), command)
        return replace(carried, child=None, ended=(*carried.ended, one)), command

    def _without_idle_forks(self, decision: Decision) -> Decision:
        """Forks that hold neither a task nor a wait are walked through where they are met."""
        while isinstance(decision.command, Fork):
            frame, fork = decision.frame, decision.command
            assert frame.step is not None
            if self.graph.node(frame.step.path).works:
                return decision
            ended = [self._idle_child(frame, index) for index in range(fork.total)]
            happening = joined(ended, fork.tolerated)
            decision = scheduler.decide(self.graph, frame, happening, self.info)
        return decision

    def _idle_child(self, parent: Frame, index: int) -> Ended:
        decision = self._without_idle_forks(self._begin_child(parent, index))
        assert isinstance(decision.command, Finish)
        return ended_as(index, decision.command)

    def _begin_child(self, parent: Frame, index: int) -> Decision:
        items = collection_of(self.graph, parent)
        item = None if items is None else items[index]
        child = scheduler.open_child(self.graph, parent, index, item)
        return scheduler.begin(self.graph, child, self.info)


def ended_as(index: int, finish: Finish) -> Ended:
    """The end of a child, now."""
    if finish.error is None:
        return Ended(index, finish.local or {})
    failure = {"error": finish.error, "cause": finish.cause or ""}
    return Ended(index, failure, True, time.time())


def joined(ended: Sequence[Ended], tolerated: int | None) -> Joined | JoinFailed:
    """What the ends of all children of a fork mean for it."""
    failures = sorted((one for one in ended if one.failed), key=lambda one: one.at)
    if tolerated is None and failures:
        return JoinFailed(failures[0].result["error"], failures[0].result["cause"])
    if tolerated is not None and len(failures) > tolerated:
        one_too_many = failures[tolerated].result
        failure = tolerance_exceeded(Failure(one_too_many["error"], one_too_many["cause"]))
        return JoinFailed(failure.error, failure.cause)
    return Joined([one.result for one in sorted(ended, key=lambda one: one.index)])
