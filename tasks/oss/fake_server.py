"""The OSS server for tests: as much of OSS over HTTP as a batch restore needs.

Buckets are in the path (`http://127.0.0.1:PORT/bucket/key`), which is how the SDK addresses a
server that has an IP address. Signatures are not checked, but have to be there. Under `/-/`:
`POST /-/faults` sets the fault rates (the JSON of `FaultRates`), `GET /-/stats` counts requests.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ValidationError

from tasks.oss.fake_answers import (
    Answer,
    error_answer,
    list_answer,
    object_answer,
    part_answer,
    restore_days,
)
from tasks.oss.fake_bucket import FakeBuckets, OssFault
from tasks.oss.fake_faults import Fault, FaultRates, Faults
from tasks.storage.object_store import MAX_PAGE_KEYS, RestoreOutcome

RESTORE_STATUS = {
    RestoreOutcome.STARTED: 202,
    RestoreOutcome.IN_PROGRESS: 409,
    RestoreOutcome.ALREADY_RESTORED: 200,
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks, read from HTTP. `query` has the first value of each name."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class FakeOss:
    """A running OSS server for tests; a context manager that ends with its block.

    Args:
        host: Address to listen on.
        port: 0 takes a free one.
        thaw_s: How long a restore takes.
        rates: How often requests fail, from the start.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        thaw_s: float = 1.0,
        rates: FaultRates | None = None,
    ) -> None:
        self.buckets = FakeBuckets(thaw_s)
        self.faults = Faults(rates or FaultRates())
        self.requests: Counter[str] = Counter()
        handler = type("Handler", (_Handler,), {"oss": self})
        self.http = _Server((host, port), handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.http.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> FakeOss:
        Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request: Request) -> Answer:
        """The answer to any request, faults included."""
        if request.bucket == "-":
            return self._admin(request)
        name, operation = _operation(request)
        self.requests[name] += 1
        fault = self.faults.draw(name)
        try:
            if "authorization" not in request.headers:
                raise OssFault(403, "AccessDenied", "Anonymous access is forbidden.")
            if fault is not None and fault not in (Fault.AFTER, Fault.CUT):
                raise OssFault(fault.status, fault.code, "This request met a fault on demand.")
            answer = operation(self.buckets, request)
            if fault is Fault.CUT:
                return replace(answer, cut=True)
            if fault is not None:
                raise OssFault(fault.status, fault.code, "The answer was lost on demand.")
        except OssFault as error:
            return error_answer(error)
        return answer

    def _admin(self, request: Request) -> Answer:
        match request.method, request.key:
            case "POST", "faults":
                try:
                    self.faults.change(FaultRates.model_validate_json(request.body or b"{}"))
                except ValidationError as error:
                    return Answer(400, str(error).encode())
            case "GET", "stats":
                pass
            case _:
                return Answer(404, b"POST /-/faults or GET /-/stats")
        stats = {"requests": dict(self.requests), "faults": self.faults.thrown}
        return Answer(200, json.dumps(stats).encode(), {"Content-Type": "application/json"})


def serve(
    host: str = "127.0.0.1",
    port: int = 9000,
    *,
    thaw_s: float = 1.0,
    throttle_rate: float = 0.0,
    error_rate: float = 0.0,
    seed: int | None = None,
    buckets: Iterable[str] = (),
    objects: int = 0,
    storage_class: str = "Archive",
    announce: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> None:
    """Runs a server until Ctrl-C, with `objects` archived objects in each of `buckets`.

    `announce` gets one line once it listens: `listening on http://HOST:PORT`.

    Raises:
        OSError: The port is taken.
    """
    rates = FaultRates(throttle_rate=throttle_rate, error_rate=error_rate, seed=seed)
    oss = FakeOss(host, port, thaw_s, rates)
    for bucket in buckets:
        fill(oss.buckets, bucket, objects, storage_class)
    announce(f"listening on {oss.url}")
    try:
        oss.http.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        oss.http.server_close()


def fill(buckets: FakeBuckets, bucket: str, objects: int, storage_class: str = "Archive") -> None:
    """Makes the bucket and puts objects with small numbered contents into it."""
    buckets.create(bucket)
    for number in range(objects):
        buckets.put(bucket, f"object-{number:05d}", f"content {number}".encode(), storage_class)


def _operation(request: Request) -> tuple[str, Callable[[FakeBuckets, Request], Answer]]:
    match request.method, bool(request.key):
        case "PUT", False:
            return "create", _create
        case "GET", False:
            return "list", _list
        case "PUT", True:
            return "put", _put
        case "GET", True:
            return "get", _get
        case "HEAD", True:
            return "head", _head
        case "DELETE", True:
            return "delete", _delete
        case "POST", True if "restore" in request.query:
            return "restore", _restore
        case _:
            return "other", _unknown


def _create(buckets: FakeBuckets, request: Request) -> Answer:
    buckets.create(request.bucket)
    return Answer(200)


def _list(buckets: FakeBuckets, request: Request) -> Answer:
    query = request.query
    if query.get("list-type") != "2":
        raise OssFault(400, "InvalidArgument", "Only list-type=2 is known here.")
    after = query.get("continuation-token") or query.get("start-after", "")
    try:
        max_keys = int(query.get("max-keys", "100"))
    except ValueError as error:
        raise OssFault(400, "InvalidArgument", "max-keys is not a number.") from error
    if not 1 <= max_keys <= MAX_PAGE_KEYS:
        raise OssFault(400, "InvalidArgument", "max-keys must be from 1 to 1000.")
    prefix = query.get("prefix", "")
    page, more = buckets.page(request.bucket, prefix, after, max_keys)
    return list_answer(request.bucket, query, page, more, buckets.clock())


def _put(buckets: FakeBuckets, request: Request) -> Answer:
    storage_class = request.headers.get("x-oss-storage-class", "Standard")
    buckets.put(request.bucket, request.key, request.body, storage_class)
    return Answer(200)


def _get(buckets: FakeBuckets, request: Request) -> Answer:
    found = buckets.get(request.bucket, request.key)
    if not found.readable(buckets.clock()):
        raise OssFault(403, "InvalidObjectState", "The object is archived: restore it first.")
    return part_answer(object_answer(found, buckets.clock()), request.headers)


def _head(buckets: FakeBuckets, request: Request) -> Answer:
    return object_answer(buckets.get(request.bucket, request.key), buckets.clock())


def _delete(buckets: FakeBuckets, request: Request) -> Answer:
    buckets.delete(request.bucket, request.key)
    return Answer(204)


def _restore(buckets: FakeBuckets, request: Request) -> Answer:
    outcome = buckets.restore(request.bucket, request.key, restore_days(request.body))
    if outcome is RestoreOutcome.IN_PROGRESS:
        raise OssFault(409, "RestoreAlreadyInProgress", "The restore operation is in progress.")
    return Answer(RESTORE_STATUS[outcome])


def _unknown(buckets: FakeBuckets, request: Request) -> Answer:
    raise OssFault(405, "MethodNotAllowed", "This server knows only what a restore needs.")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """HTTP in and out: makes a Request of what comes, writes the Answer."""

    oss: FakeOss
    protocol_version = "HTTP/1.1"
    # One packet per answer: headers and body apart would wait for each other's acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def _serve(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Request(self.command, bucket, key, query, headers, body)
        self._write(self.oss.answer(request))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("x-oss-request-id", "FAKE")
        # A head tells the size of what a get would send.
        headers = {"Content-Length": str(len(answer.body))} | answer.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.cut:
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: thousands of lines would hide what a test has to say."""
