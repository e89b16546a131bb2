"""The worker's Celery app: every registered task and the engine's own, by name."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from engine.config import Settings
from engine.core.outcomes import failure_of
from engine.errors import BrokerUnavailable, EngineError, ExecutionFailed
from engine.runtime.building import make_runtime
from engine.runtime.canvas import ENGINE_TASKS, SEAT, make_app
from engine.runtime.claims import Holder
from engine.runtime.conductor import Conductor
from engine.runtime.crashing import crash_point
from engine.runtime.ending import Ending
from engine.runtime.lanes import Lanes
from engine.runtime.logs import about
from engine.runtime.pointer import Pointer
from engine.runtime.reports import report
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS, Verdict
from streams.errors import StreamError, StreamUnavailable
from tasks import registry
from workers import limits
from workers.consumer import PUT_BACK_AFTER_S
from workers.fleet_results import UNREADABLE, FleetResults
from workers.plain import PlainSteps
from workers.steps import REPORT, REPORT_FAILED, StepRunner
from workers.streaming.answering import Helper
from workers.streaming.messages import Call

log = logging.getLogger("penstock.worker")

ASKED_AGAIN = 3
"""How often a fleet's result backend that does not answer is asked again."""


class Bench:
    """What one thread of one worker process works with: its clients are made after the fork."""

    def __init__(self, app: Celery, url: str, settings: Settings) -> None:
        self.runtime: Runtime = make_runtime(url, settings, one_thread=True)
        self.runner = StepRunner(self.runtime, app)
        self.conductor = Conductor(self.runtime, self.runner)
        self.lanes = Lanes(self.runtime, self.runner)
        self.helper = Helper(self.runtime)
        self.ending = Ending(self.runtime)
        self.plain = PlainSteps(self.runtime, app)


class Benches:
    """A bench per process and thread, made at first use."""

    def __init__(self, app: Celery, url: str, settings: Settings) -> None:
        self._app, self._url, self._settings = app, url, settings
        self._local = threading.local()

    def here(self) -> Bench:
        """The bench of the calling thread."""
        if getattr(self._local, "pid", None) != os.getpid():
            limits.listen()
            self._local.bench = Bench(self._app, self._url, self._settings)
            self._local.pid = os.getpid()
        bench: Bench = self._local.bench
        return bench


def make_worker_app(url: str, settings: Settings) -> Celery:
    """The app with all tasks that are registered now, and the engine's own."""
    broker_url = settings.other_broker(url)
    app = make_app(url, settings.queue, settings.visibility_timeout_s, broker_url)
    app.conf.worker_consumer = "workers.consumer:StepConsumer"
    benches = Benches(app, url, settings)

    def step(task: Task[Any, Any], *state: Any, **pointer: Any) -> Any:
        """Takes an execution one step further; with a state handed in, as a plain Celery task."""
        at = Pointer(**pointer)
        with about(at):
            return take(task, at, *state)

    def take(task: Task[Any, Any], at: Pointer, *state: Any) -> Any:
        bench = benches.here()
        if state:
            return bench.plain.run(task, state[0], at)
        holder = Holder(task.request.hostname or "", task.request.id or "")
        try:
            advance = bench.lanes.run if at.kind == "lane" else bench.conductor.advance
            verdict = advance(at, holder)
            bench.runner.settled()
            if verdict is Verdict.FOREIGN:
                threading.Event().wait(PUT_BACK_AFTER_S)  # no other worker: no busy loop
                raise Reject(f"{at.execution_id}: left to a worker of its version", requeue=True)
        except Reject:
            raise
        except (*STORE_ERRORS, StreamUnavailable, BrokerUnavailable, OperationalError):
            raise  # Redis or the broker is away: the sweeper sends the step again
        except Exception as error:  # a defect of ours must not come back for ever
            log.exception("the engine failed at %s", at)
            bench.ending.fail(at, error)
        crash_point("before an ack")
        return None

    for name in (*ENGINE_TASKS, *registry.tasks()):
        app.task(  # type: ignore[call-overload]  # Request is an attribute of the task
            step,
            bind=True,
            name=name,
            Request="workers.request:StepRequest",
            throws=(ExecutionFailed,),
            # A result is a carried state, the users' data: not for logs and Flower.
            resultrepr_maxsize=1,
        )
    backend = settings.fleet_result_backend
    _add_seats(app, benches)
    _add_reports(app, benches, FleetResults(backend.get_secret_value() if backend else None))
    return app


def _add_seats(app: Celery, benches: Benches) -> None:
    """The messages by which a stream asks for helpers."""

    @app.task(bind=True, name=SEAT)
    def seat(task: Task[Any, Any], /, **call: Any) -> None:
        with suppress(*STORE_ERRORS, StreamError):  # its lead goes on without it
            benches.here().helper.run(Call(**call), task.request.hostname or "")


def _add_reports(app: Celery, benches: Benches, results: FleetResults) -> None:
    """The messages in which foreign workers say how a task came out."""

    @app.task(name=REPORT)
    def succeeded(result: Any, token: str) -> None:
        _report(benches, token, {"kind": "returned", "result": result})

    @app.task(
        bind=True,
        name=REPORT_FAILED,
        # A result backend is anybody's: what its client raises is not known here.
        autoretry_for=(Exception,),
        max_retries=ASKED_AGAIN,
        retry_backoff=True,
    )
    def failed(task: Task[Any, Any], *told: Any, token: str) -> None:
        match told:
            case (_, BaseException() as error, *_):
                failure = failure_of(error)
            case (str(task_id),) if task.request.retries < ASKED_AGAIN:
                failure = results.failure(task_id)
            case _:
                failure = UNREADABLE
        news = {"kind": "raised", "error": failure.error, "cause": failure.cause}
        _report(benches, token, news)


def _report(benches: Benches, token: str, news: dict[str, Any]) -> None:
    try:
        report(benches.here().runtime, token, news)
    except EngineError:
        return  # a duplicate, or too late: the first report counts
