"""A collector of traces: a server of the test that takes OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it has arrived; ids are hex texts, `parent` is "" for a root."""

    name: str
    trace: str
    id: str
    parent: str
    start_s: float
    end_s: float
    failed: bool
    message: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    events: list[str]
    service: str


@dataclass(slots=True)
class Collector:
    """What has arrived so far. While `refusing`, it answers 503."""

    url: str = ""
    refusing: bool = False
    refused: int = 0
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Seen]:
        """All spans."""
        return [span for body in list(self.bodies) for span in _spans_of(body)]

    def roots(self, name: str) -> list[Seen]:
        """The spans without a parent that have this name."""
        return [span for span in self.spans if not span.parent and span.name == name]

    def trace(self, name: str, timeout_s: float = 20.0) -> list[Seen]:
        """The one trace whose root has this name, once it is there."""
        roots = wait_until(lambda: self.roots(name), timeout_s)
        assert len(roots) == 1, roots
        return [span for span in self.spans if span.trace == roots[0].trace]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of loopback."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.refusing:
                found.refused += 1
                self.send_response(503)
            else:
                assert self.path == "/v1/traces"
                found.bodies.append(body)
                self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def _spans_of(body: bytes) -> Iterator[Seen]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for resource in request.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start_s=span.start_time_unix_nano / 1e9,
                    end_s=span.end_time_unix_nano / 1e9,
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    message=span.status.message,
                    attributes=_values(span.attributes),
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    events=[event.name for event in span.events],
                    service=service,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
