"""The engine: everything a Python program does with flows and executions."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

from redis import Redis

from engine.config import Settings, load_settings
from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.errors import EngineError, ExecutionAlreadyExists, StoreUnavailable
from engine.runtime import figures, plain, views
from engine.runtime.broker import QUICK_S, Broker
from engine.runtime.canvas import Canvas, Signature, make_app
from engine.runtime.connecting import ANSWER_S, connect
from engine.runtime.definitions import Definitions, FlowRecord
from engine.runtime.ending import Ending
from engine.runtime.fleet import Fleet
from engine.runtime.health import redis_errors
from engine.runtime.keys import Keys
from engine.runtime.operators import note
from engine.runtime.pausing import pause, resume
from engine.runtime.pointer import execution_id
from engine.runtime.redriving import Definition, Items, Redrive, redrive
from engine.runtime.reports import report
from engine.runtime.runtime import Runtime
from engine.runtime.skipping import Skip, skip
from engine.runtime.starting import Start, check_object, start
from engine.runtime.store import ExecutionStore
from engine.runtime.streamed import Source, StreamedExecution
from engine.runtime.streaming import FOR_EVER_S, Streams
from engine.runtime.tokens import Tokens
from engine.runtime.views import Execution

WAIT_SLICE_S = 5.0
"""The longest a blocking read of the history lasts."""

FOLLOWED = 500
"""The most events that one look at a history brings."""


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

    # flows

    @redis_errors()
    def create_flow(self, name: str, definition: str, description: str = "") -> FlowRecord:
        """Deploys a flow. Raises FlowAlreadyExists, FlowInvalid, InvalidArgument."""
        return self.runtime.definitions.create(name, definition, description)

    @redis_errors()
    def update_flow(
        self, name: str, definition: str | None = None, description: str | None = None
    ) -> FlowRecord:
        """Deploys a new definition; running executions keep theirs.

        Raises:
            FlowNotExists; FlowInvalid.
        """
        return self.runtime.definitions.update(name, definition, description)

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
        """Takes a flow away; running executions go on. Raises FlowNotExists."""
        self.runtime.definitions.delete(name)

    # executions

    @redis_errors()
    def start_execution(
        self,
        flow: str,
        input: dict[str, Any] | None = None,
        name: str | None = None,
        callback_token: str | None = None,
    ) -> Run:
        """Starts an execution. Idempotent by name: a running one of that name is returned.

        `name` None: a fresh UUID. `callback_token`: a task token that is reported when it ends.

        Raises:
            FlowNotExists; InvalidArgument; EntityTooLarge; ExecutionAlreadyExists: it has ended.
        """
        notify = {"token": callback_token} if callback_token else None
        started = start(self.runtime, Start(flow, name, {} if input is None else input, notify))
        return Run(self, flow, started.name)

    @redis_errors()
    def stream(
        self,
        flow: str,
        input: dict[str, Any] | None = None,
        source: Source | None = None,
        name: str | None = None,
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
            run = self.start_execution(flow, input, name)
        except EngineError:
            caller.detach()
            raise
        return StreamedExecution(run, caller, source)

    @redis_errors()
    def describe_execution(self, flow: str, name: str) -> Execution:
        """An execution as it is now. Raises ExecutionNotExists."""
        return views.describe(self.runtime, flow, name)

    @redis_errors()
    def list_executions(
        self, flow: str | None = None, status: str | None = None, limit: int | None = None
    ) -> list[Execution]:
        """Executions, newest first; of one flow, in one status, if given; `limit` None: all."""
        return views.executions(self.runtime, flow, status, limit)

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
        return self.describe_execution(flow, name)

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
        pause(self.runtime, flow, name, freeze_timers, note(self.settings, by, reason))
        return self.describe_execution(flow, name)

    @redis_errors()
    def resume_execution(
        self, flow: str, name: str, by: str | None = None, reason: str | None = None
    ) -> Execution:
        """Lets a paused execution go on; one that is not paused is left alone.

        Raises:
            ExecutionNotExists.
        """
        resume(self.runtime, flow, name, note(self.settings, by, reason))
        return self.describe_execution(flow, name)

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
        return self.describe_execution(flow, name)

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
        return self.describe_execution(flow, name)

    @redis_errors()
    def wait(self, flow: str, name: str, timeout_s: float | None = None) -> Execution:
        """Waits for an execution's end. Blocking. Raises TimeoutError, ExecutionNotExists."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status, last = self._status(flow, name)
            if status is None or ExecutionStatus(status).ended:
                return self.describe_execution(flow, name)
            left_s = WAIT_SLICE_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"{flow}/{name} is {status} after {timeout_s} s")
            key = self.runtime.store.keys.history(f"{flow}:{name}")
            block = max(1, round(min(left_s, WAIT_SLICE_S) * 1000))
            self.runtime.store.redis.xread({key: f"{last}-0"}, count=1, block=block)

    @redis_errors()
    def follow(self, flow: str, name: str, after: int, timeout_s: float) -> list[Event]:
        """The next events above `after`. Blocking: waits for the first, at most `timeout_s`."""
        identity = f"{flow}:{name}"
        key = self.runtime.store.keys.history(identity)
        block = max(1, round(timeout_s * 1000))
        # It tells that there is something; where that is by now, the views know.
        if not self.runtime.store.redis.xread({key: f"{after}-0"}, count=1, block=block):
            return []
        return views.news(self.runtime, identity, after, FOLLOWED)

    # figures and reports

    @redis_errors()
    def figures(self) -> dict[str, int]:
        """The figures of all executions' reports, added up since this store was made."""
        return figures.totals(self.runtime)

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

    def _status(self, flow: str, name: str) -> tuple[str | None, int]:
        """The status of an execution (None: there is none), and the id of its last event."""
        record = self.runtime.store.keys.record(f"{flow}:{name}")
        status, last = self.runtime.store.redis.hmget(record, ["status", "events"])  # type: ignore[misc]
        return status, int(last or 0)


def make_runtime(
    url: str, settings: Settings, one_thread: bool = False, answer_s: float = ANSWER_S
) -> Runtime:
    """The runtime of one process; quicker for `one_thread`, whose calls never overlap.

    `answer_s`: when an answer of Redis counts as lost.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    redis = connect(url, one_thread, answer_s)
    broker_url = settings.other_broker(url)
    app = make_app(url, settings.queue, settings.visibility_timeout_s, broker_url)
    store = ExecutionStore(redis, settings, outbox=broker_url is not None)
    return Runtime(
        store=store,
        canvas=Canvas(app, store.clock.now_s),
        definitions=Definitions(redis, store.keys),
        fleet=Fleet(redis, store.keys),
        tokens=Tokens(_secret(redis, store.keys, settings)),
        streams=Streams(url, settings, store.keys, redis),
        broker=Broker(app, QUICK_S) if broker_url is not None else None,
    )


def _secret(redis: Redis, keys: Keys, settings: Settings) -> str:
    """The secret of tokens: from the settings, else one that the installation shares."""
    if settings.token_secret is not None:
        return settings.token_secret.get_secret_value()
    redis.set(keys.secret, secrets.token_urlsafe(32), nx=True)
    return str(redis.get(keys.secret))
