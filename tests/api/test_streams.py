"""Streamed calls: a body in, a body out, at each other's pace; and how they end."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from tasks import image
from tests.api.serving import KEYS, Stack, served
from tests.waiting import wait_until

ECHO = "- type: stream\n  name: s\n  steps:\n  - {type: task, name: echo, resourceArn: api/echo}\n"
GIVE = "- type: stream\n  name: s\n  steps:\n  - {type: task, name: give, resourceArn: api/give}\n"
SWALLOW = ECHO.replace("echo", "swallow")
MIB = 1024 * 1024
STOPPED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served(slots=4, env={"PENSTOCK_STREAM_IDLE_S": "30"}) as made:
        made.deploy("echo", ECHO)
        made.deploy("give", GIVE)
        made.deploy("swallow", SWALLOW)
        yield made


def _path(flow: str, **query: Any) -> str:
    if "input" in query:
        query["input"] = json.dumps(query["input"])
    return str(httpx.URL(f"/v1/flows/{flow}/executions:stream", params=query))


def _status(stack: Stack, flow: str, name: str) -> str:
    return str(stack.engine.describe_execution(flow, name).status)


def _body(size: int) -> Iterator[bytes]:
    for number in range(0, size, 100_000):
        yield bytes([number // 100_000 % 251]) * min(100_000, size - number)


def test_a_body_goes_in_and_comes_out(stack: Stack) -> None:
    sent = b"".join(_body(5_000_000))
    for content in (sent, _body(5_000_000)):
        answer = stack.client.post(_path("echo"), content=content)
        assert answer.status_code == 200 and answer.content == sent
        assert answer.headers["content-type"] == "application/octet-stream"
        name = answer.headers["penstock-execution"]
        assert _status(stack, "echo", name) == "Succeeded"


def test_a_caller_may_name_the_execution_and_the_type(stack: Stack) -> None:
    path = _path("give", input={"count": 1}, name="mine")
    answer = stack.client.post(path, headers={"Accept": "image/jpeg"})
    assert answer.headers["penstock-execution"] == "mine"
    assert answer.headers["content-type"] == "image/jpeg"
    again = stack.client.post(path, headers={"Accept": "text/html"})
    assert (again.status_code, again.json()["code"]) == (400, "ExecutionAlreadyExists")


def test_bytes_come_before_the_end(stack: Stack, tmp_path: Path) -> None:
    go = tmp_path / "go"
    path = _path("give", input={"count": 2, "waits": str(go)})
    with stack.client.stream("POST", path) as answer:
        parts = answer.iter_raw()
        first = next(parts)
        assert first and _status(stack, "give", answer.headers["penstock-execution"]) == "Running"
        go.touch()
        assert len(first) + sum(map(len, parts)) == 2000


def test_a_failure_before_the_first_byte_is_a_status(stack: Stack) -> None:
    answer = stack.client.post(_path("give", input={"count": 0, "fails": True}))
    assert answer.status_code == 422
    body = answer.json()
    assert (body["code"], body["error"]) == ("ExecutionFailed", "Broken")
    assert _status(stack, "give", answer.headers["penstock-execution"]) == "Failed"


def test_a_failure_after_it_breaks_the_body_off(stack: Stack, tmp_path: Path) -> None:
    go, answer = tmp_path / "go", b""
    given = {"count": 3, "fails": True, "waits": str(go)}
    with pytest.raises(httpx.RemoteProtocolError):
        with stack.client.stream("POST", _path("give", input=given, name="breaks")) as streamed:
            assert streamed.status_code == 200
            for part in streamed.iter_raw():
                answer += part
                go.touch()
    assert len(answer) in (1000, 2000, 3000)
    assert stack.engine.describe_execution("give", "breaks").error == "Broken"
    assert "Traceback" not in stack.api.log


def test_the_head_comes_early_to_who_prefers_it(stack: Stack, tmp_path: Path) -> None:
    go = tmp_path / "go"
    path = _path("swallow", input={"waits": str(go)})
    began = time.monotonic()
    headers = {"Prefer": "wait=0"}
    with stack.client.stream("POST", path, content=b"x", headers=headers) as answer:
        assert answer.status_code == 200 and time.monotonic() - began < 2
        assert _status(stack, "swallow", answer.headers["penstock-execution"]) in (
            "Starting", "Running",
        )  # fmt: skip
        go.touch()
        assert answer.read() == b"1"


def test_a_client_that_reads_nothing_more_holds_the_stream_up(stack: Stack) -> None:
    name = "held"
    path = _path("give", input={"count": 600, "size": 100_000}, name=name)
    connection = _sent(stack, path)
    api = psutil.Process(stack.api.pid)
    before = api.memory_info().rss
    seen: list[int] = []

    def settled() -> bool:
        seen.append(stack.engine.runtime.store.redis.info("memory")["used_memory"])  # type: ignore[index]
        return len(seen) > 40

    wait_until(settled, 20, every_s=0.05)
    assert _status(stack, "give", name) == "Running"
    assert api.memory_info().rss - before < 20 * MIB
    assert max(seen) < 40 * MIB
    connection.close()
    wait_until(lambda: _status(stack, "give", name) == "Stopped", STOPPED_WITHIN_S)


def test_a_stream_that_reads_nothing_more_holds_the_client_up(stack: Stack, tmp_path: Path) -> None:
    go = tmp_path / "go"
    sent = 0

    def source() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += MIB
            yield bytes(MIB)

    api = psutil.Process(stack.api.pid)
    before = api.memory_info().rss
    path = _path("swallow", input={"waits": str(go)}, name="slow")
    headers = {"Prefer": "wait=0"}

    def look() -> bool:
        counts.append(sent)
        return len(counts) > 40 and len(set(counts[-20:])) == 1

    counts: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        posting = pool.submit(stack.client.post, path, content=source(), headers=headers)
        wait_until(look, 20, every_s=0.05)
        assert 0 < counts[-1] < 40 * MIB
        assert api.memory_info().rss - before < 20 * MIB
        go.touch()
        assert posting.result(30).content == str(100 * MIB).encode()


def _sent(stack: Stack, path: str) -> http.client.HTTPResponse:
    """The answer to a request, of which only the head was read; closing it ends the connection."""
    host, _, port = stack.api.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    headers = {"Authorization": "Bearer admin-key:admin-secret", "Connection": "close"}
    connection.request("POST", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    return answer


def test_killing_curl_stops_the_execution(stack: Stack, tmp_path: Path) -> None:
    url = stack.api.url + _path("give", input={"count": 1, "waits": "/none"}, name="killed")
    command = ["curl", "-sS", "-N", "-X", "POST", "-u", "admin-key:admin-secret", url]
    out = tmp_path / "out"
    with out.open("wb") as file:
        curl = subprocess.Popen(command, stdout=file)
    wait_until(lambda: out.stat().st_size == 1000, 20)
    assert _status(stack, "give", "killed") == "Running"
    curl.send_signal(signal.SIGKILL)
    curl.wait()
    wait_until(lambda: _status(stack, "give", "killed") == "Stopped", STOPPED_WITHIN_S)
    wait_until(lambda: "penstock_api_streams_open 0" in stack.client.get("/metrics").text)


def test_killing_curl_in_the_middle_of_its_upload_stops_the_execution(
    stack: Stack, tmp_path: Path
) -> None:
    url = stack.api.url + _path("echo", name="cut")
    out = tmp_path / "out"
    command = [
        "curl", "-sS", "-N", "-T", ".", "-X", "POST", "-u", "admin-key:admin-secret", url,
    ]  # fmt: skip
    with out.open("wb") as file:
        curl = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file)
    assert curl.stdin is not None
    curl.stdin.write(bytes(300_000))
    curl.stdin.flush()
    wait_until(lambda: out.stat().st_size > 0, 20)
    curl.kill()
    curl.wait()
    wait_until(lambda: _status(stack, "echo", "cut") in ("Stopped", "Failed"), STOPPED_WITHIN_S)


def test_a_process_that_ends_stops_what_it_streams() -> None:
    with served(slots=2) as ending:
        ending.deploy("echo", ECHO)
        url = ending.api.url + _path("echo", name="open")
        command = ["curl", "-sS", "-N", "-T", ".", "-X", "POST", "-o", "/dev/null"]
        command += ["-u", "admin-key:admin-secret", url]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as curl:
            assert curl.stdin is not None
            curl.stdin.write(bytes(300_000))
            curl.stdin.flush()
            text = "penstock_api_streams_open 1"
            wait_until(lambda: text in ending.client.get("/metrics").text, 20)
            began = time.monotonic()
            ending.api.stop()
            assert time.monotonic() - began < 4
            curl.kill()
        stopped = ending.engine.describe_execution("echo", "open")
        assert (stopped.status, stopped.error) == ("Stopped", "CallerClosed")
        assert stopped.cause == "the API that served its stream was ended"
        assert "Traceback" not in ending.api.log and ending.api.wait(1) == 0


def test_curl_sends_a_photo_and_gets_a_picture(stack: Stack, tmp_path: Path) -> None:
    flow = Path(image.__file__).with_name("flows") / "compress_watermark.yml"
    stack.engine.create_flow("compress_watermark", flow.read_text())
    photo, small = tmp_path / "photo.jpg", tmp_path / "small.jpg"
    Image.effect_noise((1600, 1200), 60).convert("RGB").save(photo, quality=95)
    path = _path("compress_watermark", input={"quality": 40, "text": "mine"}, name="photo")
    command = ["curl", "-sSf", "-T", str(photo), "-X", "POST", "-H", "Accept: image/jpeg"]
    command += ["-u", "admin-key:admin-secret", "-o", str(small), "-D", "-", stack.api.url + path]
    head = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "content-type: image/jpeg" in head.lower()
    assert "penstock-execution: photo" in head.lower()
    with Image.open(small) as picture:
        picture.load()
        assert picture.size == (1600, 1200)
    assert small.stat().st_size < photo.stat().st_size / 2
    wait_until(lambda: _status(stack, "compress_watermark", "photo") == "Succeeded", 20)


def test_only_so_many_streams_are_served_at_once() -> None:
    with served(slots=0, env={"PENSTOCK_API_MAX_STREAMS": "1", KEYS: ""}, keys="") as stack:
        stack.deploy("give", GIVE)
        headers = {"Prefer": "wait=0"}
        with stack.client.stream("POST", _path("give", name="one"), headers=headers):
            refused = stack.client.post(_path("give"))
            assert (refused.status_code, refused.json()["code"]) == (429, "ResourceThrottled")
        wait_until(lambda: _status(stack, "give", "one") == "Stopped", STOPPED_WITHIN_S)
        wait_until(lambda: "penstock_api_streams_open 0" in stack.client.get("/metrics").text)
        path = _path("give", name="two")
        with stack.client.stream("POST", path, headers=headers) as answer:
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (_path("none"), (404, "FlowNotExists")),
        (_path("give") + "?input=[1]", (400, "InvalidArgument")),
        (_path("give") + "?input={", (400, "InvalidArgument")),
        (_path("give", name="a b"), (400, "InvalidArgument")),
    ],
)
def test_what_cannot_be_started_is_a_problem(
    stack: Stack, path: str, expected: tuple[int, str]
) -> None:
    answer = stack.client.post(path, content=b"x")
    assert (answer.status_code, answer.json()["code"]) == expected
