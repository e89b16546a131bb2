"""Plain Celery: a flow as a canvas that runs without the store.

Its state is carried: each signature gets, as its first argument, what the one before it has
returned (`engine.runtime.carrying`), runs the task that the state stands at, and returns the state
at the flow's next task, wait or fork. A straight run is a chain. A fork is a group of lanes with
the join after it, which gets all their states as the body of a chord; a lane takes its items
one after the other, so that there are never more at once than the step's concurrency. A wait is
a countdown or an ETA, a retry is Celery's own. The last signature returns the flow's output, or
raises ExecutionFailed. All keep their results for RESULTS_S, on the same Redis: without them a
failure would not reach whoever waits for the last one.

What holds of the store does not hold here: a message that Redis loses is lost, one that it
delivers twice runs twice, and a failed branch does not cut off the others.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.core.commands import Sleep
from engine.core.frame import child_id
from engine.core.graph import Graph, Node
from engine.core.waits import wait_of
from engine.errors import NotCanvasable
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import ForeachStep, ParallelStep, Step, TaskStep, WaitStep
from engine.runtime.canvas import BEGIN, JOIN, STEP, UNSERVED, WAIT, Link, Signature
from engine.runtime.canvasable import check_canvasable, delay_refusal
from engine.runtime.definitions import FlowRecord
from engine.runtime.foresight import (
    Known,
    foresee_input,
    foresee_output,
    foresee_reference,
    mapped,
)
from engine.runtime.pointer import Kind, Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.sending import task_message
from engine.runtime.starting import check_object

MAX_SIGNATURES = 5000
"""The most signatures of one canvas: it is built and sent as a whole."""

MAX_IN_LANE = 500
"""The most signatures of one lane: each message of a chain carries all that come after it."""


def to_canvas(runtime: Runtime, flow: FlowRecord, input: dict[str, Any]) -> Signature:
    """A flow with this input as a Celery canvas; its result is the flow's output.

    The workers must be Penstock's, with the flow's tasks. Applied twice it runs twice, under the
    same execution name and with the same idempotency keys.

    Raises:
        NotCanvasable: a step needs the store. InvalidArgument, EntityTooLarge: the input.
    """
    check_object(runtime, input, "input")
    graph = runtime.definitions.graph(flow.definition_id)
    check_canvasable(graph, runtime.store.settings.visibility_timeout_s)
    draft = Draft(runtime, graph, Pointer(flow.name, str(uuid.uuid4()), "", 1, "", "", "begin"))
    known = Known(input)
    if graph.flow.input_mappings is not None:
        known = mapped(graph.flow.input_mappings, known, Known())
    state = {"definition": flow.definition_id, "input": input}
    first = draft.link(BEGIN, "begin", "", state=state, shown=f"flow:{flow.name}")
    return runtime.canvas.in_row([first, *draft.series("", "", known)])


@dataclass(slots=True)
class Draft:
    """The canvas of one execution in the making. `pointer` names the execution."""

    runtime: Runtime
    graph: Graph
    pointer: Pointer
    count: int = field(default=0)

    def link(
        self,
        name: str,
        kind: Kind,
        frame_id: str,
        step: Step | None = None,
        state: dict[str, Any] | None = None,
        **how: Any,
    ) -> Signature:
        """One signature; `how`: further fields of its Link."""
        called = step.name if step is not None else ""
        self.count += 1
        if self.count > MAX_SIGNATURES:
            raise NotCanvasable(called, f"the canvas has more than {MAX_SIGNATURES} signatures")
        queue = how.pop("queue", self.runtime.store.settings.queue)
        at = Pointer(self.pointer.flow, self.pointer.execution, called, 1, frame_id, "", kind)
        given = () if state is None else (state,)
        return self.runtime.canvas.link(Link(name, at, queue, **how), *given)

    def series(self, path: str, frame_id: str, given: Known) -> list[Signature]:
        """The signatures of a series of steps, with what is known of its input."""
        row: list[Signature] = []
        local = Known()
        at = self.graph.first(path)
        while at is not None:
            node = self.graph.node(at)
            known = foresee_input(node.step, given, local)
            row += self._step(node, frame_id, known)
            local = local.under(foresee_output(node.step, known))
            at = node.next
        return row

    def _step(self, node: Node, frame_id: str, known: Known) -> list[Signature]:
        match node.step:
            case TaskStep():
                return [self._task(node, frame_id)]
            case WaitStep():
                return list(self._wait(node.step, frame_id, known))
            case ParallelStep() | ForeachStep() if node.works:
                return self._fork(node, node.step, frame_id, known)
            case _:
                return []  # the signature before it walks through it

    def _task(self, node: Node, frame_id: str) -> Signature:
        assert node.resource is not None
        name, queue, limit_s = task_message(self.runtime, node)
        if limit_s is not None:
            raise NotCanvasable(node.step.name, "its task's time limit is kept by the store")
        shown = None
        if name == UNSERVED:
            name, shown = STEP, node.resource.display
        return self.link(name, "task", frame_id, node.step, queue=queue, shown=shown)

    def _wait(self, step: WaitStep, frame_id: str, known: Known) -> Iterator[Signature]:
        written = step.duration if step.timestamp is None else step.timestamp
        if not foresee_reference(written, known):
            raise NotCanvasable(step.name, f"how long it waits ({written}) is not known beforehand")
        sleep = wait_of(step, known.values, self.runtime.info(self.pointer, 1))
        if not isinstance(sleep, Sleep):
            return  # over at once, or it fails: the signature before it finds out
        delay_s = sleep.duration_s
        if delay_s is None:
            assert sleep.until is not None
            delay_s = sleep.until - time.time()
        if why := delay_refusal(delay_s, self.runtime.store.settings.visibility_timeout_s):
            raise NotCanvasable(step.name, why)
        how: dict[str, Any] = {"delay_s": sleep.duration_s or 0.0, "until_s": sleep.until}
        yield self.link(WAIT, "wait", frame_id, step, None, **how)

    def _fork(
        self, node: Node, step: ParallelStep | ForeachStep, frame_id: str, known: Known
    ) -> list[Signature]:
        if frame_id:
            why = "it is a fork within a fork, and chords within chords are not reliable on Redis"
            raise NotCanvasable(step.name, why)
        members = list(self._members(node, step, known))
        if not members:
            return []
        window = len(members)
        if isinstance(step, ForeachStep):
            window = min(window, step.concurrency)
        lanes = [[link for row in members[lane::window] for link in row] for lane in range(window)]
        if len(lanes[0]) > MAX_IN_LANE:
            why = f"a lane has more than {MAX_IN_LANE} signatures; allow a higher concurrency"
            raise NotCanvasable(step.name, why)
        join = self.link(JOIN, "join", "", step)
        if window == 1:
            return [*lanes[0], join]
        canvas = self.runtime.canvas
        return [canvas.side_by_side([canvas.in_row(lane) for lane in lanes]), join]

    def _members(
        self, node: Node, step: ParallelStep | ForeachStep, known: Known
    ) -> Iterator[list[Signature]]:
        """The signatures of each child of a fork."""
        if isinstance(step, ParallelStep):
            for index in range(len(step.branches)):
                yield self._member(step, f"{node.path}/branches/{index}", index, known)
            return
        for index, item in enumerate(_items(step, known)):
            names = {step.item: item} | ({step.index: index} if step.index is not None else {})
            yield self._member(step, f"{node.path}/steps", index, known.under(Known(names)))

    def _member(self, step: Step, series: str, index: int, known: Known) -> list[Signature]:
        frame_id = child_id("", step.name, index)
        row = self.series(series, frame_id, known)
        return row or [self.link(BEGIN, "begin", frame_id, step)]


def _items(step: ForeachStep, known: Known) -> list[Any]:
    # A likely list will do: only its length counts here, and the join checks that.
    items = resolve_reference(step.collection, known.values)
    if not isinstance(items, list):
        why = f"its collection {step.collection} is no list that is known before the flow runs"
        raise NotCanvasable(step.name, why)
    return items
