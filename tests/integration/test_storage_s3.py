"""The S3 store: boto3 over HTTP against the moto server."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.errors import TaskError
from tasks.storage import RestoreOutcome, RestoreState, open_bucket
from tasks.storage.s3 import S3Store
from tests.object_servers import moto_server
from tests.restore_loop import call, restore_all
from tests.waiting import wait_until

OBJECTS = 2000


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def store(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    reset = urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", f"s3+{moto_url}")
    monkeypatch.setenv("PENSTOCK_STORAGE_ENDPOINT", f"s3+{moto_url}")
    monkeypatch.setenv("PENSTOCK_STORAGE_BUCKET", "archive")
    store = open_bucket("", "archive").store
    assert isinstance(store, S3Store)
    store.create_bucket("archive")
    return store


def _code(ask: Callable[[], object]) -> str:
    with pytest.raises(TaskError) as caught:
        ask()
    assert "\n" not in caught.value.cause
    return caught.value.code


def test_a_glacier_object_is_restored_by_boto3(store: S3Store) -> None:
    store.put("archive", "a b/ü.jpg", b"bytes", "GLACIER")
    assert store.head("archive", "a b/ü.jpg").restore_state is RestoreState.FROZEN
    assert _code(lambda: store.read("archive", "a b/ü.jpg")) == "InvalidObjectState"
    assert store.restore("archive", "a b/ü.jpg", tier="Bulk") is RestoreOutcome.STARTED
    wait_until(lambda: store.head("archive", "a b/ü.jpg").readable)
    assert store.restore("archive", "a b/ü.jpg") is RestoreOutcome.ALREADY_RESTORED
    assert store.read("archive", "a b/ü.jpg") == b"bytes"


def test_what_s3_refuses_has_a_name(store: S3Store) -> None:
    store.put("archive", "plain", b"x")
    assert _code(lambda: store.list_page("nowhere")) == "NoSuchBucket"
    assert _code(lambda: store.restore("nowhere", "x")) == "NoSuchBucket"
    assert _code(lambda: store.head("archive", "gone")) == "NoSuchKey"
    assert _code(lambda: store.read("archive", "gone")) == "NoSuchKey"
    assert _code(lambda: store.restore("archive", "gone")) == "NoSuchKey"
    assert _code(lambda: store.restore("archive", "plain")) == "InvalidObjectState"
    assert _code(lambda: store.list_page("Not A Bucket")) == "FC.InvalidArgument"


def test_a_frozen_object_that_nobody_restores_is_an_error(store: S3Store) -> None:
    for number in range(4):
        store.put("archive", str(number), b"", "DEEP_ARCHIVE")
    call("oss:restore", {"files": ["0", "1", "2"]})
    status = {"filesGroup": [["0", "1"], ["2", "3"]]}
    assert _code(lambda: call("oss:restoreStatus", status)) == "RestoreNotStarted"


def test_two_thousand_objects_are_restored(store: S3Store) -> None:
    keys = [f"object-{number:05d}" for number in range(OBJECTS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put("archive", key, b"x", "GLACIER"), keys))
    input = {"maxKeys": 1000, "groupSize": 100, "workers": 8}
    assert restore_all(input) == (OBJECTS, 2)
    for key in (keys[0], keys[777], keys[-1]):
        assert store.read("archive", key) == b"x"
