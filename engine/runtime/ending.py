"""The end of executions: by their own last step, by a stop or a time-out; and who is told of it."""

from __future__ import annotations

import json
from typing import Any

from engine.core import scheduler
from engine.core.commands import Decision, Finish
from engine.core.frame import visit_key
from engine.core.outcomes import PAYLOAD_TOO_LARGE, RUNTIME_ERROR, child_failure
from engine.core.states import ExecutionStatus
from engine.errors import (
    ConcurrentUpdateError,
    EngineError,
    EntityTooLarge,
    ExecutionAlreadyCompleted,
    ExecutionNotExists,
)
from engine.runtime.claims import Claim, Holder
from engine.runtime.cutting import MAX_ROUNDS, cut, open_keys
from engine.runtime.pointer import Pointer
from engine.runtime.reports import report
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer, Verdict
from engine.runtime.sending import again
from engine.runtime.store import NET_S
from engine.runtime.traces import Traces


class Ending:
    """Brings executions to their end and tells those who wait for it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.store = runtime.store
        self._traces = Traces(runtime)

    def finish(self, claim: Claim, decision: Decision, finish: Finish, exact: int | None) -> Answer:
        """Ends an execution whose root frame has ended. Atomic, idempotent."""
        identity = claim.pointer.execution_id
        if finish.error is None:
            status = ExecutionStatus.SUCCEEDED
            end = {"output": self.store.packer.pack(identity, finish.output or {})}
        else:
            status = ExecutionStatus.FAILED
            end = {"error": finish.error, "cause": finish.cause or ""}
        failed = decision.frame if finish.failed else None
        events, holder = decision.events, claim.holder
        answer = self.store.finish(claim.pointer, holder, events, status, end, exact, failed)
        if answer.applied:
            self._ended(identity)
        return answer

    def stop(
        self,
        flow: str,
        execution: str,
        status: ExecutionStatus,
        error: str | None,
        cause: str | None,
        by: str | None = None,
    ) -> None:
        """Stops an execution and its sync children; what runs is told, what comes late is refused.

        `by`: who does it, for the history; None: nobody.

        Raises:
            ExecutionNotExists; ExecutionAlreadyCompleted. ConcurrentUpdateError: another version's.
        """
        ending = {"status": status.value, "error": error, "cause": cause, "by": by}
        self._end(flow, execution, ending)

    def time_out(self, flow: str, execution: str) -> Verdict:
        """Ends an execution whose time is over; PAUSED or EARLY: it stands still, or runs anew.

        Raises:
            ExecutionNotExists; ExecutionAlreadyCompleted.
        """
        ending = {"status": ExecutionStatus.TIMED_OUT.value, "error": None, "cause": None}
        return self._end(flow, execution, ending, timer=True)

    def complete(self, pointer: Pointer) -> None:
        """Goes on with an end that somebody began. Idempotent. Cost: O(open frames)."""
        identity = pointer.execution_id
        record = self.store.record(identity)
        if not (text := record.get("ending")):
            return
        ending = json.loads(text)
        graph = self.runtime.definitions.graph(record["definition"])
        right = {"ending": record["ending_call"]}
        for _ in range(MAX_ROUNDS):
            keys = open_keys(self.runtime, identity)
            if not keys:
                break
            if not cut(self.runtime, pointer, graph, keys, self.stop_child, right):
                return  # others have finished it, and it goes on again
        status = ExecutionStatus(ending["status"])
        event = scheduler.end_event(status, ending["error"], ending["cause"], ending.get("by"))
        end = {key: ending[key] for key in ("error", "cause") if ending[key] is not None}
        if self.store.finish(pointer, Holder(), [event], status, end).applied:
            self._ended(identity)

    def fail(self, pointer: Pointer, error: Exception) -> None:
        """Fails an execution that a defect of the engine keeps from going on. Idempotent."""
        cause, name = f"{type(error).__name__}: {error}", RUNTIME_ERROR
        if isinstance(error, EntityTooLarge):
            cause, name = str(error), PAYLOAD_TOO_LARGE
        try:
            self.stop(pointer.flow, pointer.execution, ExecutionStatus.FAILED, name, cause)
        except (ExecutionNotExists, ExecutionAlreadyCompleted):
            return

    def stop_child(self, child: str, parent: Pointer) -> None:
        """Stops a child execution that nobody waits for any more."""
        flow, _, name = child.partition(":")
        try:
            self.stop(
                flow,
                name,
                ExecutionStatus.STOPPED,
                "FnF.ParentEnded",
                f"{parent.execution_id} ended",
                f"parent {parent.execution_id}",
            )
        except (ExecutionNotExists, ExecutionAlreadyCompleted):
            return
        except ConcurrentUpdateError:
            return  # of another version: it is not the child that was started

    def notify_if_ended(self, child: str | None) -> None:
        """Tells the parent at once when a child ended before its parent began to wait."""
        if child and "stopped_ms" in self.store.record(child):
            self.tell(child)

    def tell(self, execution_id: str) -> None:
        """Tells who waits for an execution's end: its parent, or a token's task. Idempotent."""
        record = self.store.record(execution_id)
        notify = json.loads(record.get("notify", "{}"))
        if self._told(execution_id, record, notify):
            self.store.redis.zrem(self.store.keys.timers, f"notify|{execution_id}||")

    def _ended(self, execution_id: str) -> None:
        self._traces.ended(execution_id)
        self.tell(execution_id)

    def _end(
        self, flow: str, execution: str, ending: dict[str, str | None], **more: Any
    ) -> Verdict:
        pointer = Pointer(flow, execution, "", 0, "", "", "resume")
        self.store.check_version(pointer.execution_id)
        order = {"ending": json.dumps(ending), "net_ms": round(NET_S * 1000), **more}
        answer = self.store.verb("ending", pointer.execution_id, **order)
        if answer.verdict is Verdict.MISSING:
            raise ExecutionNotExists(f"flow {flow!r} has no execution {execution!r}")
        if answer.verdict is Verdict.STALE:
            raise ExecutionAlreadyCompleted(f"{flow}/{execution} has ended: {answer.values[0]}")
        if answer.verdict in (Verdict.APPLIED, Verdict.REPEATED):
            self.complete(pointer)
        return answer.verdict

    def _told(self, execution_id: str, record: dict[str, str], notify: dict[str, Any]) -> bool:
        if "token" in notify:
            return self._report(execution_id, record, notify)
        if notify.get("waits"):
            return self._tell_parent(execution_id, record, notify)
        return True

    def news(self, execution_id: str, record: dict[str, str]) -> dict[str, Any]:
        """An execution's end as news for the task that waits for it."""
        status = ExecutionStatus(record["status"])
        if status is ExecutionStatus.SUCCEEDED:
            output = self.store.packer.unpack(execution_id, record.get("output") or "{}")
            return {"kind": "reported", "output": output}
        failure = child_failure(status, record.get("error"), record.get("cause"))
        return {"kind": "raised", "error": failure.error, "cause": failure.cause}

    def _tell_parent(
        self, execution_id: str, record: dict[str, str], notify: dict[str, Any]
    ) -> bool:
        """False: the parent has not begun to wait yet, ask again."""
        pointer = Pointer(
            notify["flow"], notify["execution"], notify["step"], 1, notify["frame"], "", "resume"
        )
        state = self.store.state(pointer.execution_id, notify["frame"])
        # An attempt that is over is not told: a later one may wait for the same child, redriven.
        if state is None or not self._will_wait(pointer.execution_id, notify):
            return True
        if state.get("on") != execution_id or state["st"] != "WAITING":
            return False
        waiting = pointer.to("resume", str(state["fence"]), notify["step"], 1)
        to = again(self.runtime, waiting)
        self.store.wake(waiting, to, ("WAITING",), self.news(execution_id, record))
        return True

    def _will_wait(self, parent: str, notify: dict[str, Any]) -> bool:
        """True while the attempt that has started a child waits for it, or may begin to."""
        frame = self.store.frame(parent, notify["frame"])
        if frame is None or frame.step is None or visit_key(frame) != notify["visit"]:
            return False
        return frame.step.attempt == int(notify["attempt"])

    def _report(self, execution_id: str, record: dict[str, str], notify: dict[str, Any]) -> bool:
        try:
            report(self.runtime, notify["token"], self.news(execution_id, record))
        except ConcurrentUpdateError:
            return False
        except EngineError:
            return True
        return True
