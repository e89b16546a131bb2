"""The conductor: takes what a message points to one step further."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, assert_never

from engine.core import happenings as hap
from engine.core import scheduler
from engine.core.commands import Await, Decision, Finish, Fork, RunTask, Sleep
from engine.core.frame import index_of, join_id, visit_key
from engine.core.graph import Graph
from engine.core.outcomes import PAYLOAD_TOO_LARGE, function_not_found
from engine.errors import EntityTooLarge
from engine.fdl.model import AttemptedStep, WaitStep
from engine.runtime import forks
from engine.runtime.claims import Claim, Holder
from engine.runtime.ending import Ending
from engine.runtime.pausing import pause_with_parent
from engine.runtime.pointer import Pointer, execution_id
from engine.runtime.redriving import skip_of
from engine.runtime.runner import Runner, Work
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer, Verdict
from engine.runtime.sending import is_served, standing, unserved_task

UNSERVED_EVERY_S = 0.5
"""How often a task that no worker has looks for one."""

MAX_MOVED = 20
"""How often a decision that names an event id is made anew because others recorded in between."""


class Conductor:
    """Claims a frame, finds out what happened to it, decides, and settles it."""

    def __init__(self, runtime: Runtime, runner: Runner) -> None:
        self.runtime = runtime
        self.runner = runner
        self.store = runtime.store

    def advance(self, pointer: Pointer, holder: Holder) -> Verdict:
        """Does what a message asks for. A refused claim is no error: somebody else did it."""
        claim = self.store.claim(pointer, holder)
        if not isinstance(claim, Claim):
            return claim
        graph = self.runtime.definitions.graph(claim.definition)
        frame = claim.frame
        if frame.step is None and claim.wake is None:
            # A root's start is in its history from the beginning.
            recorded = not frame.id
            return self._settle(
                claim, graph, lambda info: scheduler.begin(graph, frame, info, recorded)
            )
        if claim.kind == "unserved" and self._may_wait(claim, graph):
            waiting = Decision(frame, (), RunTask(UNSERVED_EVERY_S))
            return self._settle(claim, graph, lambda info: waiting)
        happening = self._happening(claim, graph)
        child = _child_of(happening)
        verdict = self._settle(
            claim, graph, lambda info: scheduler.decide(graph, frame, happening, info), child
        )
        self._afterwards(claim, graph, happening, child, verdict)
        return verdict

    def _may_wait(self, claim: Claim, graph: Graph) -> bool:
        """True while a task that nobody had may still find a worker, or has found one."""
        assert claim.frame.step is not None
        if claim.waited_s < self.store.settings.resource_grace_s:
            return True
        return is_served(self.runtime, graph.node(claim.frame.step.path))

    def _afterwards(
        self,
        claim: Claim,
        graph: Graph,
        happening: hap.Happening,
        child: str | None,
        verdict: Verdict,
    ) -> None:
        """What may be done late or twice, once the decision is written down."""
        match happening:
            case hap.Submitted() if child:
                self._look_after(child, claim, verdict)
            case hap.Joined() if verdict is Verdict.APPLIED:
                assert claim.frame.step is not None
                name = graph.node(claim.frame.step.path).step.name
                join = join_id(claim.frame.id, name)
                visit = visit_key(claim.frame)
                forks.forget(self.runtime, claim.pointer.execution_id, join, visit)
            case _:
                return

    def _look_after(self, child: str, claim: Claim, verdict: Verdict) -> None:
        """Tells of a child that has ended already, and stops one that nobody will wait for.

        Its parent may have been stopped, or its time may have run out, while it was being started.
        """
        ending = Ending(self.runtime)
        if verdict is Verdict.APPLIED:
            ending.notify_if_ended(child)
            pause_with_parent(self.runtime, child, claim.pointer.execution_id)
        elif not self._still_at(claim, child):
            ending.stop_child(child, claim.pointer)

    def _still_at(self, claim: Claim, child: str) -> bool:
        """True while a claim's attempt goes on, in any hands, or a later one has its child."""
        identity = claim.pointer.execution_id
        frame = self.store.frame(identity, claim.pointer.frame)
        state = self.store.state(identity, claim.pointer.frame)
        if frame is None or frame.step is None or state is None:
            return False
        if "ending" in self.store.record(identity):
            return False
        if state.get("on") == child:
            return True
        same_visit = visit_key(frame) == visit_key(claim.frame)
        return same_visit and frame.step.attempt == claim.pointer.attempt

    def _happening(self, claim: Claim, graph: Graph) -> hap.Happening:
        """What happened to a claimed frame; for a task whose turn it is: the task is run."""
        if claim.wake is not None:
            return self._news(claim, graph, claim.wake)
        assert claim.frame.step is not None
        step = graph.node(claim.frame.step.path).step
        match step:
            case AttemptedStep() if claim.kind == "unserved":
                node = graph.node(claim.frame.step.path)
                missing = function_not_found(unserved_task(self.runtime, node))
                return hap.TaskRaised(missing.error, missing.cause)
            case AttemptedStep():
                return self.runner.run(self.work(claim, graph))
            case WaitStep():
                return hap.TimerFired()
            case _:
                return forks.outcome(self.runtime, claim, graph)

    def work(self, claim: Claim, graph: Graph) -> Work:
        """The task that a claimed frame is at."""
        info = self.runtime.info(claim.pointer, claim.next_event_id)
        call = scheduler.task_call(graph, claim.frame, info)
        return Work(claim.pointer, graph, claim.frame, call, node=claim.holder.node)

    def _news(self, claim: Claim, graph: Graph, wake: dict[str, Any]) -> hap.Happening:
        match wake:
            case {"kind": "reported", "output": dict(output)}:
                return hap.Reported(output)
            case {"kind": "returned", "result": result}:
                return hap.TaskReturned(result)
            case {"kind": "raised", "error": str(error), "cause": str(cause), **rest}:
                return hap.TaskRaised(error, cause, reported=not rest.get("own"))
            case {"kind": "redriven", **rest}:
                skip = rest.pop("skip", None) or skip_of(
                    self.runtime, claim.pointer.execution_id, claim.pointer.frame
                )
                return hap.Redriven(skip=hap.Skipped(**skip) if skip else None, **rest)
            case {"kind": "skipped", "output": dict(output), "note": dict(note), **rest}:
                self._leave(claim, graph, rest.get("child"))
                return hap.Skipped(output, note)
            case {"kind": "timeout", **rest}:
                if child := rest.get("child"):
                    Ending(self.runtime).stop_child(str(child), claim.pointer)
                return hap.TaskTimedOut()
            case _:
                return hap.WorkerLost()

    def _leave(self, claim: Claim, graph: Graph, child: str | None) -> None:
        """Cuts off what runs for a step that is skipped."""
        if child:
            Ending(self.runtime).stop_child(child, claim.pointer)
        forks.give_up(self.runtime, claim, graph)

    def _settle(
        self,
        claim: Claim,
        graph: Graph,
        decide: Callable[[hap.RunInfo], Decision],
        child: str | None = None,
    ) -> Verdict:
        """Decides and writes it down; anew when the decision names an event id that others took."""
        next_event_id, too_large = claim.next_event_id, None
        for _ in range(MAX_MOVED):
            decision = decide(self.runtime.info(claim.pointer, next_event_id))
            try:
                answer = self.apply(claim, graph, decision, next_event_id, child)
            except EntityTooLarge as error:
                if claim.frame.step is None or decide is too_large:
                    raise
                happening = _too_large(claim, str(error))
                decide = too_large = partial(scheduler.decide, graph, claim.frame, happening)
                continue
            if answer.verdict is not Verdict.MOVED:
                return answer.verdict
            next_event_id = int(answer.values[0])
        return Verdict.MOVED

    def apply(
        self, claim: Claim, graph: Graph, decision: Decision, next_id: int, child: str | None
    ) -> Answer:
        """Writes a decision down, together with the message it asks for."""
        exact = next_id if decision.exact_ids else None
        command = decision.command
        match command:
            case RunTask() | Await() | Sleep():
                request = claim.holder.request
                to = standing(self.runtime, claim.pointer, graph, decision, request, child)
                return self.store.settle(claim, decision.frame, decision.events, to, exact)
            case Fork():
                return forks.open_fork(self.runtime, claim, graph, decision, command, exact)
            case Finish():
                return self._finish(claim, decision, command, exact)
            case _:
                assert_never(command)

    def _finish(
        self, claim: Claim, decision: Decision, command: Finish, exact: int | None
    ) -> Answer:
        if claim.pointer.frame:
            ended = forks.ended_child(self.runtime, claim.pointer, command)
            ended["join"] = claim.pointer.frame.rpartition(".")[0]
            ended["index"] = index_of(claim.pointer.frame)
            failed = decision.frame if command.failed else None
            return self.store.settle_child(claim, decision.events, ended, exact, failed)
        return Ending(self.runtime).finish(claim, decision, command, exact)


def _too_large(claim: Claim, cause: str) -> hap.Happening:
    """What became of a frame whose decision is too large to be kept."""
    if claim.wake is not None and claim.wake["kind"] == "redriven":
        return hap.Redriven(failure=(PAYLOAD_TOO_LARGE, cause))
    return hap.TaskRaised(PAYLOAD_TOO_LARGE, cause, reported=True)


def _child_of(happening: hap.Happening) -> str | None:
    """The id of the child execution that a task has started and waits for."""
    if isinstance(happening, hap.Submitted) and happening.on == "child":
        return execution_id(happening.detail["flowName"], happening.detail["executionName"])
    return None
