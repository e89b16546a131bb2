"""The worker's Celery app: every registered task and the engine's own, by name."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery import Celery, Task

from engine.config import Settings
from engine.core.outcomes import OUTCOME_UNKNOWN
from engine.errors import EngineError, ExecutionFailed
from engine.runtime.canvas import ENGINE_TASKS, make_app
from engine.runtime.claims import Holder
from engine.runtime.conductor import Conductor
from engine.runtime.ending import Ending
from engine.runtime.engine import make_runtime
from engine.runtime.lanes import Lanes
from engine.runtime.pointer import Pointer
from engine.runtime.reports import report
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS
from tasks import registry
from workers.plain import PlainSteps
from workers.steps import REPORT, REPORT_FAILED, StepRunner

log = logging.getLogger("penstock.worker")


class Bench:
    """What one thread of one worker process works with: its clients are made after the fork."""

    def __init__(self, app: Celery, url: str, settings: Settings) -> None:
        self.runtime: Runtime = make_runtime(url, settings)
        runner = StepRunner(self.runtime, app)
        self.conductor = Conductor(self.runtime, runner)
        self.lanes = Lanes(self.runtime, runner)
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
            self._local.bench = Bench(self._app, self._url, self._settings)
            self._local.pid = os.getpid()
        bench: Bench = self._local.bench
        return bench


def make_worker_app(url: str, settings: Settings) -> Celery:
    """The app with all tasks that are registered now, and the engine's own."""
    app = make_app(url, settings.queue, settings.visibility_timeout_s)
    app.conf.worker_consumer = "workers.consumer:StepConsumer"
    benches = Benches(app, url, settings)

    def step(task: Task[Any, Any], *state: Any, **pointer: Any) -> Any:
        """Takes an execution one step further; with a state handed in, as a plain Celery task."""
        at = Pointer(**pointer)
        bench = benches.here()
        if state:
            return bench.plain.run(task, state[0], at)
        holder = Holder(task.request.hostname or "", task.request.id or "")
        try:
            if at.kind == "lane":
                bench.lanes.run(at, holder)
            else:
                bench.conductor.advance(at, holder)
        except STORE_ERRORS:
            raise  # the sweeper sends the step again
        except Exception as error:  # a defect of ours must not come back for ever
            log.exception("the engine failed at %s", at)
            bench.ending.fail(at, error)
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
    _add_reports(app, benches)
    return app


def _add_reports(app: Celery, benches: Benches) -> None:
    """The messages in which foreign workers say how a task came out."""

    def succeeded(result: Any, token: str) -> None:
        output = result if isinstance(result, dict) else {"result": result}
        _report(benches, token, {"kind": "reported", "output": output})

    def failed(*request: Any, token: str) -> None:
        error, cause = (
            OUTCOME_UNKNOWN,
            "the task failed; its fleet has no result backend to say how",
        )
        if len(request) >= 2 and isinstance(request[1], BaseException):
            error, cause = type(request[1]).__name__, str(request[1])
        _report(benches, token, {"kind": "raised", "error": error, "cause": cause})

    app.task(name=REPORT)(succeeded)
    app.task(name=REPORT_FAILED)(failed)


def _report(benches: Benches, token: str, news: dict[str, Any]) -> None:
    try:
        report(benches.here().runtime, token, news)
    except EngineError:
        return  # a duplicate, or too late: the first report counts
