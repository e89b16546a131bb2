"""Tracing: the thread in a worker's parent process that exports the traces of ended executions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Protocol, cast

from celery.signals import worker_ready, worker_shutdown

from engine.config import Settings, variable_of
from engine.core.frame import visit_key
from engine.errors import EngineError, InvalidArgument
from engine.runtime.building import make_runtime
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import STORE_ERRORS
from engine.runtime.spans import Place, Span, attempt_key, place_of
from engine.runtime.traces import Traces

log = logging.getLogger("penstock.worker")

LOOK_S = 0.5

AGAIN_S = 10.0
"""Pause after a collector that did not take what it was sent."""

STOP_S = 3.0


class Telemetry(Protocol):
    """What `workers.otlp` offers, which needs an extra."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Sends spans; False: the collector did not take them. Blocking."""

    def close(self) -> None:
        """Lets go of the connection."""

    def within(self, place: Place, sampled: bool) -> AbstractContextManager[None]:
        """Makes a span of ours the current one of this thread."""


class Surroundings:
    """What tasks find as OpenTelemetry's current span: that of their attempt, so that spans which
    they make themselves are its children. Nothing while no traces are sampled.
    """

    def __init__(self, runtime: Runtime) -> None:
        wanted = runtime.store.settings.trace_sample > 0
        self._telemetry = load_telemetry() if wanted else None
        self._traces = Traces(runtime)
        self._last = ("", 0)

    def of(self, work: Work) -> AbstractContextManager[None]:
        """For the time of one attempt. Cost: O(1), at most one call to Redis."""
        if self._telemetry is None:
            return nullcontext()
        identity = work.pointer.execution_id
        key = attempt_key(visit_key(work.frame), work.call.attempt)
        place = place_of(self._trace_id(identity), key)
        return self._telemetry.within(place, self._traces.sampled(identity))

    def _trace_id(self, identity: str) -> int:
        if self._last[0] != identity:
            self._last = (identity, self._traces.trace_id(identity) or 1)
        return self._last[1]


class Exporter:
    """Exports traces until it is stopped. Several of them, of several workers, share the work."""

    def __init__(self, traces: Traces, telemetry: Telemetry) -> None:
        self._traces = traces
        self._telemetry = telemetry
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-traces", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; what it is at may end first, for `STOP_S`. Idempotent."""
        self._stop.set()
        self._thread.join(STOP_S)
        self._telemetry.close()

    def _run(self) -> None:
        pause_s = LOOK_S
        while not self._stop.wait(pause_s):
            pause_s = LOOK_S
            try:
                while not self._stop.is_set() and (identity := self._traces.take()):
                    if not self._export(identity):
                        pause_s = AGAIN_S
                        break
            except STORE_ERRORS as error:
                log.warning("redis is away: %s", error)

    def _export(self, identity: str) -> bool:
        try:
            spans = self._traces.load(identity)
        except (EngineError, LookupError, ValueError) as error:
            log.warning("%s has no trace: %s", identity, error)
            return True
        if not spans or self._telemetry.export(spans):
            return True
        self._traces.ended(identity)
        return False


def attach_tracing(url: str, settings: Settings) -> None:
    """Has the worker of this process export traces, if any are wanted.

    Raises:
        InvalidArgument: they are, and the extra is not installed.
    """
    if settings.trace_sample <= 0:
        return
    telemetry = load_telemetry()
    exporters: list[Exporter] = []

    def begin(**_: object) -> None:
        exporters.append(Exporter(Traces(make_runtime(url, settings)), telemetry))
        exporters[0].start()

    def end(**_: object) -> None:
        for exporter in exporters:
            exporter.stop()

    worker_ready.connect(begin, weak=False)
    worker_shutdown.connect(end, weak=False)


def load_telemetry() -> Telemetry:
    """The link to OpenTelemetry. Raises InvalidArgument: the extra is not installed."""
    try:
        found = import_module("workers.otlp")
    except ImportError as missing:
        raise InvalidArgument(
            f"{variable_of('trace_sample')} needs the extra: pip install 'penstock[otel]'"
            f" ({missing})"
        ) from missing
    return cast(Telemetry, found.Otlp())
