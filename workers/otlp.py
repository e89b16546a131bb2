"""OTLP: our spans as those of OpenTelemetry, sent to a collector over HTTP. Needs the extra `otel`.

Where to, with which headers and as which service: the variables of OpenTelemetry itself
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` …).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.status import Status, StatusCode

from engine.runtime.spans import Kind, Place, Span

PRODUCT = "penstock"
SAMPLED = TraceFlags(TraceFlags.SAMPLED)

MAX_SPANS = 2000
"""Spans of one request; collectors limit its size."""

_KINDS: dict[Kind, SpanKind] = {"attempt": SpanKind.CONSUMER}


class Otlp:
    """Sends spans to the collector that the environment names."""

    def __init__(self) -> None:
        ours = Resource({"service.name": PRODUCT, "service.version": version(PRODUCT)})
        self._resource = ours.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope(PRODUCT, version(PRODUCT))
        self._exporter = OTLPSpanExporter()

    def export(self, spans: Sequence[Span]) -> bool:
        """Sends spans; False: the collector did not take all of them. Blocking."""
        for first in range(0, len(spans), MAX_SPANS):
            batch = [self._span(span) for span in spans[first : first + MAX_SPANS]]
            if self._exporter.export(batch) is not SpanExportResult.SUCCESS:
                return False
        return True

    def close(self) -> None:
        """Lets go of the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK does not say

    @contextmanager
    def within(self, place: Place, sampled: bool) -> Iterator[None]:
        """Makes a span of ours the current one of this thread; one of none if it is not sampled."""
        flags = SAMPLED if sampled else TraceFlags(TraceFlags.DEFAULT)
        span = NonRecordingSpan(SpanContext(place.trace_id, place.span_id, True, flags))
        token = context.attach(set_span_in_context(span))
        try:
            yield
        finally:
            context.detach(token)

    def _span(self, span: Span) -> ReadableSpan:
        failed = span.error is not None
        parent = Place(span.place.trace_id, span.parent) if span.parent is not None else None
        return ReadableSpan(
            span.name,
            context=context_of(span.place),
            parent=context_of(parent) if parent else None,
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(name, timestamp=_nanoseconds(time)) for name, time in span.notes],
            links=[Link(context_of(place)) for place in span.links],
            kind=_KINDS.get(span.kind, SpanKind.INTERNAL),
            status=Status(StatusCode.ERROR, span.error) if failed else Status(StatusCode.OK),
            start_time=_nanoseconds(span.start_s),
            end_time=_nanoseconds(span.end_s or span.start_s),
            instrumentation_scope=self._scope,
        )


def context_of(place: Place) -> SpanContext:
    """A span as OpenTelemetry names it."""
    return SpanContext(place.trace_id, place.span_id, is_remote=True, trace_flags=SAMPLED)


def _nanoseconds(time_s: float) -> int:
    return round(time_s * 1000) * 1_000_000
