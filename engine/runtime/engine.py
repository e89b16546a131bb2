"""The engine: everything a Python program does with flows and executions."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Unpack

from engine.config import Settings, load_settings
from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.errors import EngineError, ExecutionAlreadyExists, StoreUnavailable
from engine.runtime import figures, plain, views
from engine.runtime.access_keys import AccessKeys
from engine.runtime.auditing import AuditLog
from engine.runtime.building import make_runtime
from engine.runtime.canvas import Signature
from engine.runtime.definitions import FlowRecord, Kept
from engine.runtime.ending import Ending
from engine.runtime.following import next_events, wait_for_end
from engine.runtime.health import redis_errors
from engine.runtime.map_runs import MapRuns
from engine.runtime.metrics import Metrics, forget_flow, metrics_of
from engine.runtime.operators import note
from engine.runtime.pausing import pause, resume
from engine.runtime.pointer import execution_id
from engine.runtime.redriving import Definition, Items, Redrive, redrive
from engine.runtime.reports import report
from engine.runtime.schedules import Schedules
from engine.runtime.searching import ExecutionPage, Search, search, search_all
from engine.runtime.skipping import Skip, skip
from engine.runtime.starting import Start, check_object, start
from engine.runtime.streamed import Source, StreamedExecution
from engine.runtime.streaming import FOR_EVER_S, READS, SENDS
from engine.runtime.versions import Versions
from engine.runtime.views import Execution


@dataclass(frozen=True, slots=True)
class Run:
    """A started execution: what `start_execution` returns."""

    engine: Engine
    flow_name: str
    name: str

    def wait(self, timeout_s: float | None = None) -> Execution:
        """Waits for the execution's end. Blocking; None waits for ever.

        Raises:
            TimeoutError: it did not end within `timeout_s`; it goes on.
        """
        return self.engine.wait(self.flow_name, self.name, timeout_s)

    def describe(self) -> Execution:
        """The execution as it is now."""
        return self.engine.describe_execution(self.flow_name, self.name)

    def stop(self, error: str | None = None, cause: str | None = None) -> Execution:
        """Stops the execution. Raises ExecutionAlreadyCompleted."""
        return self.engine.stop_execution(self.flow_name, self.name, error, cause)


class Engine:
    """Flows and executions on one Redis. Safe to share between threads.

    `versions`, `schedules`, `map_runs`, `keys` and `audit` have the operations on these. What is
    done by hand is written into the audit log, by whom `engine.runtime.operators.acting` names.

    Without a URL: `PENSTOCK_REDIS_URL`.

    Raises:
        StoreUnavailable: there is no URL, or nobody answers there; so do all methods when Redis
            goes away. InvalidArgument: a setting cannot be used.
    """

    def __init__(self, redis_url: str | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        url = redis_url or (
            self.settings.redis_url.get_secret_value() if self.settings.redis_url else None
        )
        if not url:
            raise StoreUnavailable("no Redis: set PENSTOCK_REDIS_URL, or hand a URL to Engine(...)")
        self.runtime = make_runtime(url, self.settings)
        self.versions = Versions(self.runtime)
        self.schedules = Schedules(self.runtime)
        self.map_runs = MapRuns(self.runtime)
        self.keys = AccessKeys(self.runtime)
        self.audit = AuditLog(self.runtime)

    # flows

    @redis_errors()
    def create_flow(
        self, name: str, definition: str, description: str = "", **kept: Unpack[Kept]
    ) -> FlowRecord:
        """Deploys a flow. `kept`: role_arn, execution_mode, retention (seconds by status).

        Raises:
            FlowAlreadyExists; FlowInvalid; InvalidArgument.
        """
        record = self.runtime.definitions.create(name, definition, description, **kept)
        self.audit.record("CreateFlow", name)
        return record

    @redis_errors()
    def update_flow(
        self,
        name: str,
        definition: str | None = None,
        description: str | None = None,
        seen: FlowRecord | None = None,
        **kept: Unpack[Kept],
    ) -> FlowRecord:
        """Deploys a new definition; running executions keep theirs. `kept`: as in `create_flow`.

        `seen`: what the flow must be like still; None: whatever it is like.

        Raises:
            FlowNotExists; FlowInvalid. ConcurrentUpdateError: it is not as `seen` any more.
        """
        record = self.runtime.definitions.update(name, definition, description, seen, **kept)
        self.audit.record("UpdateFlow", name, {"version": record.version})
        return record

    @redis_errors()
    def describe_flow(self, name: str) -> FlowRecord:
        """A deployed flow. Raises FlowNotExists."""
        return self.runtime.definitions.describe(name)

    @redis_errors()
    def list_flows(self) -> list[FlowRecord]:
        """All deployed flows, by name."""
        definitions = self.runtime.definitions
        return [definitions.describe(name) for name in definitions.names()]

    @redis_errors()
    def delete_flow(self, name: str) -> None:
        """Takes a flow away with its schedules, versions and aliases; running executions go on.

        Raises:
            FlowNotExists.
        """
        self.runtime.definitions.describe(name)
        self.schedules.forget(name)
        self.runtime.definitions.delete(name)
        self.versions.forget(name)
        forget_flow(self.runtime, name)
        self.audit.record("DeleteFlow", name)

    # executions

    @redis_errors()
    def start_execution(
        self,
        flow: str,
        input: dict[str, Any] | None = None,
        name: str | None = None,
        callback_token: str | None = None,
        qualifier: str | None = None,
    ) -> Run:
        """Starts an execution. Idempotent by name: a running one of that name is returned.

        `name` None: a fresh UUID. `callback_token`: a task token that is reported when it ends.
        `qualifier`: a version's number or an alias's name, as a text.

        Raises:
            FlowNotExists; InvalidArgument; EntityTooLarge; ExecutionAlreadyExists: it has ended.
            FlowVersionNotExists; FlowAliasNotExists.
        """
        notify = {"token": callback_token} if callback_token else None
        wanted = Start(flow, name, {} if input is None else input, notify, qualifier)
        started = start(self.runtime, wanted)
        return Run(self, flow, started.name)

    @redis_errors()
    def stream(
        self,
        flow: str,
        input: dict[str, Any] | None = None,
        source: Source | None = None,
        name: str | None = None,
        qualifier: str | None = None,
    ) -> StreamedExecution:
        """Starts an execution and streams: `source` into it, its bytes out as they come.

        The first stream step of the flow without a source of its own reads what is sent, the
        first one without a sink writes what comes out. Closing the answer stops the execution.

        Raises:
            FlowNotExists; InvalidArgument; EntityTooLarge. ExecutionAlreadyExists: the name
            belongs to one that has ended, or that streams to somebody else.
        """
        name = name or str(uuid.uuid4())
        caller = self.runtime.streams.caller(execution_id(flow, name), FOR_EVER_S)
        if not caller.attach(uuid.uuid4().hex, sends=source is not None):
            raise ExecutionAlreadyExists(f"{flow}/{name} streams to another program already")
        try:
            if source is not None:
                caller.source().create()
            told = SENDS if source is not None else READS
            wanted = Start(flow, name, {} if input is None else input, None, qualifier, caller=told)
            started = start(self.runtime, wanted)
        except EngineError:
            caller.detach()
            raise
        return StreamedExecution(Run(self, flow, started.name), caller, source)

    @redis_errors()
    def describe_execution(self, flow: str, name: str) -> Execution:
        """An execution as it is now. Raises ExecutionNotExists."""
        return views.describe(self.runtime, flow, name)

    @redis_errors()
    def list_executions(
        self, flow: str | None = None, status: str | None = None, limit: int | None = None
    ) -> list[Execution]:
        """Executions, newest first; of one flow, in one status, if given; `limit` None: all."""
        wanted = Search(flow, () if status is None else (status,))
        return search_all(self.runtime, wanted, limit)

    @redis_errors()
    def search_executions(self, wanted: Search) -> ExecutionPage:
        """A page of the executions that are wanted, newest first. Raises InvalidArgument."""
        return search(self.runtime, wanted)

    @redis_errors()
    def get_execution_history(
        self, flow: str, name: str, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Events with ids above `after`, at most `limit` (None: all). Raises ExecutionNotExists."""
        return views.history(self.runtime, flow, name, after, limit)

    @redis_errors()
    def stop_execution(
        self,
        flow: str,
        name: str,
        error: str | None = None,
        cause: str | None = None,
        by: str | None = None,
    ) -> Execution:
        """Stops an execution and the children that it waits for. `by`: who, for the history.

        Raises:
            ExecutionNotExists; ExecutionAlreadyCompleted.
        """
        who = note(self.settings, by, None)["by"]
        Ending(self.runtime).stop(flow, name, ExecutionStatus.STOPPED, error, cause, who)
        told = {"error": error, "cause": cause}
        return self._acted("StopExecution", flow, name, {"by": who} | told)

    @redis_errors()
    def pause_execution(
        self,
        flow: str,
        name: str,
        freeze_timers: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Holds an execution and its sub-flows: what runs ends, nothing new begins. Idempotent.

        Waits and time-outs run on, and what they lead to waits; with `freeze_timers` they stand
        still and have the rest of their time after the resume.

        Raises:
            ExecutionNotExists; ExecutionAlreadyCompleted.
        """
        told = note(self.settings, by, reason)
        pause(self.runtime, flow, name, freeze_timers, told)
        return self._acted("PauseExecution", flow, name, told)

    @redis_errors()
    def resume_execution(
        self, flow: str, name: str, by: str | None = None, reason: str | None = None
    ) -> Execution:
        """Lets a paused execution go on; one that is not paused is left alone.

        Raises:
            ExecutionNotExists.
        """
        told = note(self.settings, by, reason)
        resume(self.runtime, flow, name, told)
        return self._acted("ResumeExecution", flow, name, told)

    @redis_errors()
    def redrive_execution(
        self,
        flow: str,
        name: str,
        from_step: str | None = None,
        definition: Definition = "same",
        items: Items = "failed",
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Lets an execution go on that failed, timed out or was stopped: same name, same history.

        It goes on at the steps that failed or were cut off, as a further attempt of each; what has
        succeeded stays. `from_step`: at that top-level step instead, with the flow's local as it
        was when that step was last entered; of a foreach only the `items` that failed or never
        ran, or all. `definition`: "same", or the flow's "latest". One that goes on already is left
        alone.

        Raises:
            ExecutionNotExists; FlowNotExists. InvalidArgument: it has succeeded, it runs, or there
            is no such step.
        """
        told = note(self.settings, by, reason)
        redrive(self.runtime, Redrive(flow, name, from_step, definition, items, note=told))
        return self._acted("RedriveExecution", flow, name, told | {"from": from_step})

    @redis_errors()
    def skip_step(
        self,
        flow: str,
        name: str,
        step: str,
        output: dict[str, Any] | None = None,
        frame: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Ends a step with an output of yours: one that runs or waits, or one that has failed.

        `output` goes into the flow's data as the step's own would, without its outputMappings.
        `frame`: which branch or iteration, where several stand at the step. A failed execution
        goes on thereby, as by a redrive.

        Raises:
            ExecutionNotExists. InvalidArgument: nothing stands at the step, or several frames do.
            TaskInvalidState: it ended meanwhile. EntityTooLarge: the output.
        """
        given = check_object(self.runtime, {} if output is None else output, "output")
        told = note(self.settings, by, reason)
        skip(self.runtime, Skip(flow, name, step, given, frame, told))
        return self._acted("SkipStep", flow, name, told | {"step": step, "frame": frame})

    @redis_errors()
    def wait(self, flow: str, name: str, timeout_s: float | None = None) -> Execution:
        """Waits for an execution's end. Blocking. Raises TimeoutError, ExecutionNotExists."""
        wait_for_end(self.runtime, flow, name, timeout_s)
        return self.describe_execution(flow, name)

    @redis_errors()
    def follow(self, flow: str, name: str, after: int, timeout_s: float) -> list[Event]:
        """The next events above `after`. Blocking: waits for the first, at most `timeout_s`."""
        return next_events(self.runtime, flow, name, after, timeout_s)

    # figures and reports

    @redis_errors()
    def figures(self) -> dict[str, int]:
        """The figures of all executions' reports, added up since this store was made."""
        return figures.totals(self.runtime)

    @redis_errors()
    def metrics(self) -> Metrics:
        """What a monitoring system asks for. Cost: O(flows + queues + workers)."""
        return metrics_of(self.runtime)

    @redis_errors()
    def report_task_succeeded(self, token: str, output: dict[str, Any] | None = None) -> None:
        """Ends the task of a token.

        Raises:
            InvalidArgument; EntityTooLarge; TaskAlreadyCompleted; TaskInvalidState.
        """
        given = check_object(self.runtime, {} if output is None else output, "output")
        report(self.runtime, token, {"kind": "reported", "output": given})

    @redis_errors()
    def report_task_failed(self, token: str, error: str, cause: str = "") -> None:
        """Fails the task of a token.

        Raises:
            InvalidArgument; TaskAlreadyCompleted; TaskInvalidState.
        """
        report(self.runtime, token, {"kind": "raised", "error": error, "cause": cause})

    # plain Celery

    @redis_errors()
    def to_canvas(self, flow: str, input: dict[str, Any] | None = None) -> Signature:
        """A deployed flow as a Celery canvas, to be applied without this engine's store.

        Raises:
            FlowNotExists. NotCanvasable: a step needs the store; the error names it.
        """
        record = self.describe_flow(flow)
        return plain.to_canvas(self.runtime, record, {} if input is None else input)

    def _acted(self, action: str, flow: str, name: str, told: dict[str, Any]) -> Execution:
        """Writes down what was done to an execution by hand; the execution as it is thereby."""
        by = told.pop("by")
        self.audit.record(action, f"{flow}/{name}", told, by)
        return self.describe_execution(flow, name)
