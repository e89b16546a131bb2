"""The OSS store: the real SDK over HTTP against the OSS server for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.context import TaskContext
from tasks.errors import TaskError
from tasks.oss.fake_faults import FaultRates
from tasks.oss.fake_server import FakeOss, fill
from tasks.storage import RestoreOutcome, RestoreState, open_bucket
from tasks.storage.oss import OssStore
from tests.restore_loop import call, restore_all
from tests.waiting import wait_until

OBJECTS = 2000


@pytest.fixture
def oss(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOss]:
    with FakeOss(thaw_s=0.3) as server:
        monkeypatch.setenv("OSS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "secret")
        monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", f"oss+{server.url}")
        monkeypatch.setenv("PENSTOCK_STORAGE_ENDPOINT", f"oss+{server.url}")
        monkeypatch.setenv("PENSTOCK_STORAGE_BUCKET", "archive")
        yield server


@pytest.fixture
def store(oss: FakeOss) -> OssStore:
    store = open_bucket("", "archive").store
    assert isinstance(store, OssStore)
    store.create_bucket("archive")
    return store


def _code(ask: Callable[[], object]) -> str:
    with pytest.raises(TaskError) as caught:
        ask()
    assert "\n" not in caught.value.cause
    return caught.value.code


def test_an_archived_object_is_restored_by_the_sdk(oss: FakeOss, store: OssStore) -> None:
    key = "a b/ü?&+%.jpg"
    store.put("archive", key, b"bytes", "DeepColdArchive")
    assert store.head("archive", key).restore_state is RestoreState.FROZEN
    assert _code(lambda: store.read("archive", key)) == "InvalidObjectState"

    assert store.restore("archive", key, days=3, tier="Expedited") is RestoreOutcome.STARTED
    assert store.restore("archive", key) is RestoreOutcome.IN_PROGRESS
    assert store.list_page("archive").objects[0].restore_state is RestoreState.THAWING
    assert store.head("archive", key).restore_state is RestoreState.THAWING

    wait_until(lambda: store.head("archive", key).readable)
    assert store.restore("archive", key) is RestoreOutcome.ALREADY_RESTORED
    listed = store.list_page("archive").objects[0]
    assert (listed.key, listed.restore_state) == (key, RestoreState.THAWED)
    assert (listed.size, listed.storage_class) == (5, "DeepColdArchive")
    assert store.read("archive", key) == b"bytes"


def test_pages_go_on_after_the_last_key(oss: FakeOss, store: OssStore) -> None:
    fill(oss.buckets, "archive", 25)
    store.put("archive", "other", b"", "Standard")
    found: list[str] = []
    marker, end = "", False
    while not end:
        page = store.list_page("archive", "object-", marker, max_keys=10)
        found += [info.key for info in page.objects]
        marker, end = page.next_marker, page.end
    assert found == [f"object-{number:05d}" for number in range(25)]
    assert oss.requests["list"] == 3


def test_what_oss_refuses_has_a_name(oss: FakeOss, store: OssStore) -> None:
    store.put("archive", "plain", b"x")
    assert _code(lambda: store.list_page("nowhere")) == "NoSuchBucket"
    assert _code(lambda: store.restore("nowhere", "x")) == "NoSuchBucket"
    assert _code(lambda: store.head("nowhere", "x")) == "NoSuchBucket"
    assert _code(lambda: store.head("archive", "gone")) == "NoSuchKey"
    assert _code(lambda: store.read("archive", "gone")) == "NoSuchKey"
    assert _code(lambda: store.restore("archive", "gone")) == "NoSuchKey"
    assert _code(lambda: store.restore("archive", "plain")) == "FC.InvalidArgument"
    assert _code(lambda: store.list_page("Not_A_Bucket")) == "FC.InvalidArgument"


def test_throttling_and_server_errors_have_the_names_that_flows_retry(
    oss: FakeOss, store: OssStore
) -> None:
    fill(oss.buckets, "archive", 3)
    files = {"files": ["object-00000", "object-00001", "object-00002"]}
    oss.faults.change(FaultRates(throttle_rate=1))
    assert _code(lambda: call("oss:restore", files)) == "FC.ResourceThrottled"
    oss.faults.change(FaultRates(error_rate=1))
    assert _code(lambda: call("oss:restore", files)) == "FC.InternalServerError"
    oss.faults.change(FaultRates())
    # Some of those failures were answers lost after the work was done.
    counts = call("oss:restore", files, TaskContext(attempt=3))
    assert sum(counts.values()) == 3


def test_a_server_that_does_not_answer_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch, oss: FakeOss
) -> None:
    with FakeOss() as gone:
        url = f"oss+{gone.url}"
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", url)
    input = {"endpoint": url, "files": ["a"]}
    assert _code(lambda: call("oss:restore", input)) == "FC.InternalServerError"


def test_missing_credentials_are_told_in_one_line(
    oss: FakeOss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OSS_ACCESS_KEY_SECRET")
    with pytest.raises(TaskError, match="OSS_ACCESS_KEY_SECRET") as caught:
        call("oss:listArchiveFiles", {})
    assert caught.value.code == "MissingCredentials"


def test_two_thousand_objects_are_restored_through_throttling_and_server_errors(
    oss: FakeOss,
) -> None:
    fill(oss.buckets, "archive", OBJECTS)
    oss.faults.change(FaultRates(throttle_rate=0.05, error_rate=0.05, seed=7))
    input = {"maxKeys": 500, "groupSize": 50, "workers": 8, "bucketName": "archive"}
    assert restore_all(input, tasks_at_once=2) == (OBJECTS, 4)
    assert oss.faults.thrown > OBJECTS // 20
    page, more = oss.buckets.page("archive", "", "", OBJECTS)
    assert (len(page), more) == (OBJECTS, False)
    assert all(found.readable(oss.buckets.clock()) for found in page)
    # Watching asks page by page: some hundred heads would give it away.
    assert oss.requests["head"] == 0


def test_a_refused_restore_is_never_a_success(oss: FakeOss, store: OssStore) -> None:
    fill(oss.buckets, "archive", 5)
    keys = [f"object-{number:05d}" for number in range(5)]
    call("oss:restore", {"files": keys[:4]})
    status = {"filesGroup": [[key] for key in keys]}
    assert _code(lambda: call("oss:restoreStatus", status)) == "RestoreNotStarted"
    oss.buckets.delete("archive", keys[4])
    assert _code(lambda: call("oss:restoreStatus", status)) == "NoSuchKey"


def test_the_server_wants_a_signature_and_tells_what_it_can(oss: FakeOss) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{oss.url}/archive?list-type=2")
    with urllib.request.urlopen(f"{oss.url}/-/stats") as answer:
        assert b'"list": 1' in answer.read()


def test_faults_are_set_over_http(oss: FakeOss, store: OssStore) -> None:
    body = b'{"error_rate": 1, "operations": ["restore"], "seed": 1}'
    with urllib.request.urlopen(f"{oss.url}/-/faults", body) as answer:
        assert answer.status == 200
    fill(oss.buckets, "archive", 1)
    assert store.head("archive", "object-00000").size > 0
    assert _code(lambda: store.restore("archive", "object-00000")) == "FC.InternalServerError"
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"{oss.url}/-/faults", b'{"error_rate": 7}')


def test_a_served_process_says_where_it_listens_and_holds_objects(
    monkeypatch: pytest.MonkeyPatch, oss: FakeOss
) -> None:
    code = (
        "from tasks.oss.fake_server import serve\n"
        "serve(port=0, buckets=['demo'], objects=3, storage_class='ColdArchive')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        try:
            assert process.stderr is not None
            url = process.stderr.readline().removeprefix("listening on ").strip()
            monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", url)
            page = call("oss:listArchiveFiles", {"endpoint": url, "bucketName": "demo"})
        finally:
            process.terminate()
    assert page["archiveFilesCount"] == 3


def _environment() -> dict[str, Any]:
    return os.environ | {"PYTHONUNBUFFERED": "1"}
