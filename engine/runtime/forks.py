"""Forks: how children are opened, and what their ends mean for the frame above them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine.core import happenings as hap
from engine.core.commands import Decision, Finish, Fork
from engine.core.frame import Frame, join_id, parent_id, visit_key
from engine.core.graph import Graph, Node
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import ForeachStep, ParallelStep
from engine.runtime import kept
from engine.runtime.canvas import JOIN, LANE, TAG, Sending
from engine.runtime.claims import Claim
from engine.runtime.cutting import cut_below
from engine.runtime.ending import Ending
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer
from engine.runtime.sending import group_of, inline_task
from engine.runtime.standing import Standing, fresh

RUNS = "lane"
PARKS = "lane:any"
"""In the place of a lane's fence: does it run the items' task, or may its worker lack it?"""

PAGE = 1000
"""Results read or deleted by one command."""


def open_fork(
    runtime: Runtime, claim: Claim, graph: Graph, decision: Decision, fork: Fork, exact: int | None
) -> Answer:
    """Opens the children that a decision asks for. Atomic, idempotent."""
    frame = decision.frame
    again: dict[str, Any] = {}
    assert frame.step is not None
    node = graph.node(frame.step.path)
    queue = runtime.store.settings.queue
    join = join_id(frame.id, node.step.name)
    items = _items(node, graph, frame)
    if frame.step.redriven:
        frame, again = kept.reopened(runtime, claim.pointer, frame, node, items)
    waiting = fresh(claim.pointer.to("join", "", node.step.name, 1))
    group = group_of(claim.pointer, join)
    body = Sending(JOIN, waiting, queue, TAG, claim.holder.request or None, group=group)
    lane = lane_sending(runtime, node, graph, claim, join)
    order = {
        "join": join,
        "kind": fork.kind,
        "total": fork.total,
        "window": fork.window,
        "tolerated": fork.tolerated or 0,
        "tolerant": fork.tolerated is not None,
        "lanes": min(fork.total, fork.window, 2 * runtime.fleet.slots()),
        "body": runtime.canvas.envelope(body),
        "lane": runtime.canvas.envelope(lane),
        "queue": lane.queue,
        "visit": visit_key(frame),
        "of": kept.mark_of(node, items),
        **again,
    }
    if fork.batch is not None:
        order["batch"] = fork.batch
    standing = Standing("WAITING", waiting)
    return runtime.store.fork(claim, frame, decision.events, standing, order, exact)


def lane_sending(runtime: Runtime, node: Node, graph: Graph, claim: Claim, join: str) -> Sending:
    """The message of a lane: named by the task it runs item by item, if it can."""
    first = first_node(graph, node)
    served = inline_task(runtime, first) if first is not None else None
    parent = claim.holder.request or None
    pointer = replace(claim.pointer, frame=join)
    if served is None:
        return parking_lane(runtime, pointer, node, parent)
    pointer = pointer.to("lane", RUNS, node.step.name, 1)
    return Sending(served.name, pointer, served.queue, TAG, parent, group=group_of(pointer, join))


def parking_lane(runtime: Runtime, pointer: Pointer, node: Node, parent: str | None) -> Sending:
    """The message of a lane that any worker can take: its items go on by messages of their own.

    `pointer` has the join for its frame.
    """
    group = group_of(pointer, pointer.frame)
    shown = f"lane:{node.step.name}"
    at = pointer.to("lane", PARKS, node.step.name, 1)
    queue = runtime.store.settings.queue
    return Sending(LANE, at, queue, TAG, parent, shown=shown, group=group)


def first_node(graph: Graph, fork: Node) -> Node | None:
    """The first step of a foreach's series; None for a parallel, whose branches differ."""
    if not isinstance(fork.step, ForeachStep):
        return None
    path = graph.first(f"{fork.path}/steps")
    return graph.node(path) if path is not None else None


def collection_of(graph: Graph, parent: Frame) -> list[Any] | None:
    """The elements that a foreach goes over; None for a parallel."""
    assert parent.step is not None
    step = graph.node(parent.step.path).step
    if not isinstance(step, ForeachStep):
        return None
    items = resolve_reference(step.collection, parent.step.input)
    return items if isinstance(items, list) else []


def _items(node: Node, graph: Graph, parent: Frame) -> list[Any]:
    """What the children of a fork are: elements, or the names of the steps of each branch."""
    if isinstance(node.step, ParallelStep):
        return [[step.name for step in branch] for branch in node.step.branches]
    return collection_of(graph, parent) or []


def ended_child(runtime: Runtime, pointer: Pointer, finish: Finish) -> dict[str, Any]:
    """A child's end as the scripts take it: its result, and its failure if it failed."""
    if finish.error is None:
        result = runtime.store.packer.pack(pointer.execution_id, finish.local or {})
        return {"st": "ENDED", "result": result}
    failure = {"error": finish.error, "cause": finish.cause or ""}
    return {"st": "ENDED", "result": json.dumps(failure), "failure": failure}


def outcome(runtime: Runtime, claim: Claim, graph: Graph) -> hap.Happening:
    """What came of a fork whose frame was woken; what is still open below it is cut off."""
    assert claim.frame.step is not None
    join = join_id(claim.frame.id, graph.node(claim.frame.step.path).step.name)
    identity = claim.pointer.execution_id
    j = runtime.store.join(identity, join)
    if j is None:
        return hap.JoinFailed("FnF.RuntimeError", f"the join {join} is not in the store")
    if failure := j.get("failure"):
        cut_below(runtime, claim.pointer, graph, join, Ending(runtime).stop_child)
        return hap.JoinFailed(failure["error"], failure["cause"])
    return hap.Joined(_results(runtime, identity, join, j["total"]))


def give_up(runtime: Runtime, claim: Claim, graph: Graph) -> None:
    """Cuts off all children of a frame that is to leave its fork; at other steps: nothing."""
    assert claim.frame.step is not None
    step = graph.node(claim.frame.step.path).step
    if not isinstance(step, ForeachStep | ParallelStep):
        return
    join = join_id(claim.frame.id, step.name)
    runtime.store.verb("abort", claim.pointer.execution_id, joins=[join])
    cut_below(runtime, claim.pointer, graph, join, Ending(runtime).stop_child)


def forget(runtime: Runtime, execution_id: str, join: str, visit: str) -> None:
    """Deletes what is left of a join after its decision; `visit`: the fork's that was decided on.

    The decision may have led back to the fork, which is open anew then: that one stays. So does
    one with tolerated failures: a redrive may run these items again; and one that failed over its
    own mappings: a redrive begins with these.
    Idempotent. Cost: O(children), paged.
    """
    j = runtime.store.join(execution_id, join)
    if j is None or j["visit"] != visit or j["failed"]:
        return
    parent = runtime.store.frame(execution_id, parent_id(f"{join}.0"))
    if parent is not None and visit_key(parent) == visit:
        return
    total = int(j["total"])
    for first in range(0, max(1, total), PAGE):
        stop = min(total, first + PAGE)
        fields = [f"{join}.{i}:call" for i in range(first, stop)]
        fields += [f"{join}:{i}" for i in range(first, stop)]
        whole = stop == total
        order: dict[str, Any] = {"join": join, "visit": visit, "results": fields, "whole": whole}
        runtime.store.verb("forget", execution_id, **order)


def _results(runtime: Runtime, execution_id: str, join: str, total: int) -> list[Any]:
    results: list[Any] = []
    key = runtime.store.keys.results(execution_id)
    for first in range(0, total, PAGE):
        fields = [f"{join}:{index}" for index in range(first, min(total, first + PAGE))]
        for text in runtime.store.redis.hmget(key, fields):  # type: ignore[union-attr]
            results.append(runtime.store.packer.unpack(execution_id, str(text)))
    return results
