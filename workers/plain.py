"""Plain steps: what a worker does for a signature that carries the flow's state itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery import Celery, Task

from engine.core import happenings as hap
from engine.core import scheduler
from engine.core.commands import Command, Finish, RunTask
from engine.core.graph import Graph
from engine.core.outcomes import RUNTIME_ERROR
from engine.errors import ExecutionFailed
from engine.runtime.canvas import STATE_SHOWN
from engine.runtime.carrying import Carried, Carrier, carried_from_json
from engine.runtime.pointer import Pointer
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from tasks.context import TaskContext
from workers.context import unwatched_context_of
from workers.steps import StepRunner


class UnwatchedRunner(StepRunner):
    """Runs tasks of executions that the store knows nothing of."""

    def context(self, work: Work) -> TaskContext:
        """The context of a task that nobody can cancel."""
        return unwatched_context_of(work)


class PlainSteps:
    """Runs the signatures of a flow in plain Celery (`engine.runtime.plain`)."""

    def __init__(self, runtime: Runtime, app: Celery) -> None:
        self.runtime = runtime
        self.runner = UnwatchedRunner(runtime, app)

    def run(self, task: Task[Any, Any], state: Any, at: Pointer) -> dict[str, Any]:
        """One signature: the state it returns, or the flow's output if it is the last.

        `state` is that of the signature before it, or a list of those of a fork's lanes.

        Raises:
            ExecutionFailed: the flow has failed. Retry: Celery's sign that the task runs again.
        """
        states: list[dict[str, Any]] = state if isinstance(state, list) else [state]
        definition = states[0].get("definition")
        if definition is None or (
            at.kind == "join" and not carried_from_json(states[0]).stands_at(at.step)
        ):
            raise ExecutionFailed(RUNTIME_ERROR, f"{at.step or at.flow}: the flow took another way")
        graph = self.runtime.definitions.graph(definition)
        carrier = Carrier(graph, self.runtime.info(at, 1))
        if at.kind == "begin" and not at.frame:
            return self._handed_on(*carrier.begin(definition, states[0]["input"]))
        lanes = [carried_from_json(written) for written in states]
        if at.kind == "join":
            return self._handed_on(*carrier.join(lanes))
        return self._advance(task, graph, carrier, lanes[0], at)

    def _advance(
        self, task: Task[Any, Any], graph: Graph, carrier: Carrier, carried: Carried, at: Pointer
    ) -> dict[str, Any]:
        if at.frame:
            if not carried.stands_at(at.frame.rpartition(".")[0]):
                return carried.to_json()  # the join says what is wrong
            carried = carried if carried.lost else carrier.enter(carried, at.frame)
            if carried.child is None or carried.child.id != at.frame or at.kind == "begin":
                return carried.to_json()  # the item, or its whole lane, has ended before
        happening = self._happening(graph, carrier, carried, at)
        carried, command = carrier.react(carried, happening)
        frame = carried.child or carried.frame
        if isinstance(command, RunTask) and frame.step is not None and frame.step.attempt > 1:
            # Only a task that is to run again stands at an attempt after its first.
            self._retry(task, carried, command, replace(at, attempt=frame.step.attempt))
        return self._handed_on(carried, command)

    def _happening(
        self, graph: Graph, carrier: Carrier, carried: Carried, at: Pointer
    ) -> hap.Happening:
        if at.kind == "wait":
            return hap.TimerFired()
        frame = carried.child or carried.frame
        call = scheduler.task_call(graph, frame, carrier.info)
        return self.runner.run(Work(at, graph, frame, call))

    def _retry(self, task: Task[Any, Any], carried: Carried, command: RunTask, at: Pointer) -> None:
        """Celery's own retry; the flow's policy has decided that there is one, and when."""
        task.retry(  # type: ignore[call-arg]  # further options go to apply_async
            args=(carried.to_json(),),
            kwargs=at.kwargs(),
            countdown=command.delay_s,
            max_retries=at.attempt,
            argsrepr=STATE_SHOWN,
            ignore_result=False,
        )

    def _handed_on(self, carried: Carried, command: Command) -> dict[str, Any]:
        """What the next signature gets."""
        if carried.child is None and not carried.ended and isinstance(command, Finish):
            return _output(command)
        return carried.to_json()


def _output(finish: Finish) -> dict[str, Any]:
    if finish.error is None:
        return finish.output or {}
    raise ExecutionFailed(finish.error, finish.cause or "")
