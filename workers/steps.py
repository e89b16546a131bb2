"""Steps: what a worker does for the task that a message points to."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from hashlib import md5
from typing import Any, assert_never

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from kombu import Exchange

from engine.core import happenings as hap
from engine.core.outcomes import (
    FUNCTION_NOT_FOUND,
    INVALID_LOCAL,
    PAYLOAD_TOO_LARGE,
    as_text,
    failure_of,
)
from engine.fdl.resources import (
    ActionResource,
    CeleryResource,
    FlowResource,
    FunctionResource,
    NamedResource,
    QueueResource,
    StreamResource,
    TopicResource,
)
from engine.runtime.canvas import STATE_HEADER
from engine.runtime.children import start_child, start_execution
from engine.runtime.crashing import crash_point
from engine.runtime.documents import STATE_VERSION
from engine.runtime.logs import about
from engine.runtime.payloads import dumps
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from engine.runtime.sending import START_EXECUTION, served_names
from tasks import registry
from tasks.context import TaskContext
from tasks.registry import RegisteredTask
from workers import limits
from workers.context import context_of
from workers.inputs import TaskInput
from workers.streaming.lead import Lead
from workers.tracing import Surroundings

log = logging.getLogger("penstock.worker")

REPORT = "penstock.report"
REPORT_FAILED = "penstock.report_failed"
"""Celery names of the messages that bring a foreign fleet's results back."""

AGAIN: Mapping[str, Any] = {
    "retry": True,
    "retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.2},
}
"""A connection that was idle may be gone, which is seen when it is used."""


class StepRunner:
    """Runs tasks on this worker."""

    def __init__(self, runtime: Runtime, app: Celery) -> None:
        self.runtime = runtime
        self.app = app
        self._lead = Lead(runtime, app)
        self._surroundings = Surroundings(runtime)

    def settled(self) -> None:
        """What the last attempt that ran here came to is written down, or not wanted any more."""
        self._lead.settled()

    def run(self, work: Work) -> hap.Happening:
        """Runs one attempt; an exception of the task becomes a failure with its name."""
        with about(replace(work.pointer, frame=work.frame.id, attempt=work.call.attempt)):
            return self._run(work)

    def _run(self, work: Work) -> hap.Happening:
        resource = work.call.resource
        match resource:
            case FlowResource():
                return start_child(self.runtime, work)
            case QueueResource() | TopicResource():
                return self._send(work, resource)
            case CeleryResource():
                return self._call_fleet(work, resource)
            case StreamResource():
                return self._stream(work)
            case ActionResource() if resource.name == START_EXECUTION:
                return start_execution(self.runtime, work)
            case ActionResource() | FunctionResource() | NamedResource():
                return self._call(work)
            case _:
                assert_never(resource)

    def context(self, work: Work) -> TaskContext:
        """What a task is told of the attempt that it is."""
        return context_of(self.runtime, work)

    def _call(self, work: Work) -> hap.Happening:
        """Calls a registered function."""
        registered = registry.find(served_names(work.call.resource))
        if registered is None:
            cause = f"this worker has no task {work.call.resource.display!r}"
            return hap.TaskRaised(FUNCTION_NOT_FOUND, cause)
        context = self.context(work)
        try:
            crash_point("before a task")
            with self._surroundings.of(work):
                result = limits.within(lambda: _result_of(registered, work, context))
            crash_point("after a task")
        except SoftTimeLimitExceeded:
            return hap.TaskTimedOut()
        except SystemExit as error:
            if isinstance(error.code, int) and error.code < 0:  # the pool ends its process so
                raise
            return hap.TaskRaised(type(error).__name__, str(error))
        except KeyboardInterrupt as error:  # the task's: Celery takes signals in another way
            return hap.TaskRaised(type(error).__name__, str(error))
        except Exception as error:  # the task's own: data from here on
            failure = failure_of(error)
            context.log.info("task failed", extra={"error": failure.error}, exc_info=error)
            return hap.TaskRaised(_writable(failure.error), _writable(failure.cause))
        return self._checked(result)

    def _stream(self, work: Work) -> hap.Happening:
        """Leads a stream; its result is checked as a task's is."""
        happening = self._lead.run(work)
        if not isinstance(happening, hap.TaskReturned):
            return happening
        checked = self._checked(happening.result)
        assert isinstance(checked, hap.TaskReturned | hap.TaskRaised)
        return replace(checked, closed=happening.closed)

    def _checked(self, result: Any) -> hap.Happening:
        """The result, if it can be kept."""
        if not isinstance(result, dict):
            return hap.TaskReturned(result)
        try:
            text = dumps(result)
            size = len(text.encode())
        except (TypeError, ValueError) as error:
            return hap.TaskRaised(INVALID_LOCAL, f"the result is not JSON: {error}")
        limit = self.runtime.store.settings.payload_limit_bytes
        if size > limit:
            cause = f"the result has {size} bytes; the limit is {limit}"
            return hap.TaskRaised(PAYLOAD_TOO_LARGE, cause)
        # As all others will read it: a tuple is a list. And the task may still hold its object: a
        # large value that the store has seen counts as unchanged.
        return hap.TaskReturned(json.loads(text))

    def _send(self, work: Work, resource: QueueResource | TopicResource) -> hap.Happening:
        """Sends a message to a queue, or to a fanout exchange, of the broker."""
        body = work.call.input.get("MessageBody")
        text = as_text(body)
        crash_point("before a publish")
        with self.app.producer_pool.acquire(block=True) as producer:
            if isinstance(resource, QueueResource):
                if self.runtime.broker is not None:  # AMQP drops what there is no queue for
                    self.runtime.broker.declare(resource.name)
                producer.publish(
                    text,
                    routing_key=resource.name,
                    exchange="",
                    content_type="text/plain",
                    content_encoding="utf-8",
                    **AGAIN,
                )
            else:
                exchange = Exchange(resource.name, type="fanout")
                producer.publish(
                    text,
                    exchange=exchange,
                    declare=[exchange],
                    content_type="text/plain",
                    content_encoding="utf-8",
                    **AGAIN,
                )
        crash_point("after a publish")
        return hap.TaskReturned(
            {
                "MessageId": str(uuid.uuid4()),
                "RequestId": str(uuid.uuid4()),
                "MessageBodyMD5": md5(text.encode(), usedforsecurity=False).hexdigest().upper(),
            }
        )

    def _call_fleet(self, work: Work, resource: CeleryResource) -> hap.Happening:
        """Sends a task to workers that know nothing of us; its link messages bring the result."""
        token = self.runtime.tokens.make(work.pointer.flow, work.pointer.execution, work.frame)
        queue = self.runtime.store.settings.queue
        # Monitors show these texts: a token is a secret, and a result the users' own.
        hidden = {"argsrepr": "(...)", "kwargsrepr": "{...}"}
        headers = {STATE_HEADER: STATE_VERSION}
        options = {"queue": queue, "ignore_result": True, "headers": headers, **hidden}
        told = {"kwargs": {"token": token}, "options": options}
        given = work.call.input if isinstance(work.call.input, dict) else {}
        kwargs = {key: value for key, value in given.items() if key not in ("args", "queue")}
        task_id = f"{work.pointer.execution_id}/{work.frame.id}-{uuid.uuid4().hex[:8]}"
        self.app.send_task(
            resource.task,
            args=given.get("args") or (),
            kwargs=kwargs,
            task_id=task_id,
            queue=given.get("queue") or "celery",
            root_id=work.pointer.execution_id,
            ignore_result=False,
            link=self.app.signature(REPORT, **told),
            link_error=self.app.signature(REPORT_FAILED, **told),
        )
        return hap.Submitted({"taskId": task_id}, "callback")


def _result_of(registered: RegisteredTask, work: Work, context: TaskContext) -> Any:
    result = registered.call(TaskInput(work.call.input), context)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _writable(text: str) -> str:
    """A text that UTF-8 can write: file names that are none may hold halves of characters."""
    return text.encode(errors="backslashreplace").decode()
