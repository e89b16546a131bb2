"""The three restore tasks on a local bucket: what they take, return and refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.context import TaskContext
from tasks.errors import TaskError
from tasks.oss.pool import raise_if_failed
from tasks.storage import LocalStore
from tests.restore_loop import call, restore_all


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("PENSTOCK_STORAGE_ENDPOINT", tmp_path.as_uri())
    monkeypatch.setenv("PENSTOCK_STORAGE_BUCKET", "archive")
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", tmp_path.as_uri())
    monkeypatch.setenv("PENSTOCK_STORAGE_LOCAL_THAW_S", "0.2")
    store = LocalStore(tmp_path, thaw_s=0.2)
    store.create_bucket("archive")
    return store


def _fill(store: LocalStore, objects: int, storage_class: str = "Archive") -> list[str]:
    keys = [f"{number:03d}" for number in range(objects)]
    for key in keys:
        store.put("archive", key, key.encode(), storage_class)
    return keys


def _refused(name: str, input: dict[str, Any]) -> TaskError:
    with pytest.raises(TaskError) as caught:
        call(name, input)
    return caught.value


def test_a_listing_gives_groups_of_keys_and_where_to_go_on(store: LocalStore) -> None:
    _fill(store, 5)
    first = call("oss:listArchiveFiles", {"maxKeys": 3, "groupSize": "2", "marker": ""})
    assert first == {
        "bucketName": "archive",
        "filesGroup": [["000", "001"], ["002"]],
        "marker": "002",
        "end": "false",
        "empty": "false",
        "archiveFilesCount": 3,
        "pollInterval": 10,
    }
    last = call("oss:listArchiveFiles", {"maxKeys": 3, "groupSize": 2, "marker": "002"})
    assert (last["filesGroup"], last["marker"], last["end"]) == ([["003", "004"]], "", "true")


def test_a_page_without_archived_objects_is_empty_and_not_the_end(store: LocalStore) -> None:
    _fill(store, 3, "Standard")
    store.put("archive", "zzz", b"", "ColdArchive")
    page = call("listArchiveFiles", {"maxKeys": 2})
    assert (page["empty"], page["end"], page["filesGroup"]) == ("true", "false", [])
    assert restore_all({"maxKeys": 2}) == (1, 2)


def test_empty_strings_and_nulls_mean_the_defaults(store: LocalStore) -> None:
    _fill(store, 101)
    names = ("endpoint", "bucketName", "prefix", "marker", "maxKeys", "pollInterval", "groupSize")
    for empty in ("", None):
        page = call("listArchiveFiles", {name: empty for name in names} | {"workers": empty})
        assert (page["archiveFilesCount"], page["end"]) == (100, "false")
        assert page["filesGroup"][0] == ["000"]


@pytest.mark.parametrize(
    ("name", "input", "says"),
    [
        ("oss:listArchiveFiles", {"maxKeys": 0}, "maxKeys"),
        ("oss:listArchiveFiles", {"maxKeys": "many"}, "maxKeys"),
        ("oss:listArchiveFiles", {"groupSize": -1}, "groupSize"),
        ("oss:restore", {}, "files"),
        ("oss:restore", {"files": ["a"], "workers": 1000}, "workers"),
        ("oss:restoreStatus", {}, "filesGroup"),
        ("oss:restoreStatus", {"filesGroup": ""}, "filesGroup"),
    ],
)
def test_input_that_cannot_be_used_is_named(
    store: LocalStore, name: str, input: dict[str, Any], says: str
) -> None:
    error = _refused(name, input)
    assert error.code == "FC.InvalidArgument"
    assert says in error.cause


def test_a_restore_counts_what_it_met_and_may_be_repeated(store: LocalStore) -> None:
    keys = _fill(store, 5)
    assert call("oss:restore", {"files": keys[:3], "workers": 2}) == {
        "started": 3,
        "inProgress": 0,
        "alreadyRestored": 0,
    }
    again = call("oss:restore", {"files": keys, "workers": 10})
    assert (again["started"], again["inProgress"]) == (2, 3)


def test_one_bad_key_does_not_keep_the_others_from_being_restored(store: LocalStore) -> None:
    keys = _fill(store, 4)
    error = _refused("oss:restore", {"files": [keys[0], "gone", *keys[1:]]})
    assert error.code == "NoSuchKey"
    assert "1 of 5 objects failed" in error.cause
    assert all(not store.head("archive", key).readable for key in keys)
    assert call("oss:restore", {"files": keys})["started"] == 0


def test_a_lasting_failure_is_told_before_one_that_a_retry_may_mend() -> None:
    failed = {
        "a": TaskError("FC.ResourceThrottled", "a: slow down"),
        "b": TaskError("NoSuchKey", "no object b"),
    }
    with pytest.raises(TaskError, match="2 of 9 objects failed: no object b") as caught:
        raise_if_failed(failed, of=9)
    assert caught.value.code == "NoSuchKey"
    with pytest.raises(TaskError) as retryable:
        raise_if_failed({"a": failed["a"]}, of=9)
    assert retryable.value.code == "FC.ResourceThrottled"


def test_a_cancelled_restore_asks_for_no_more(store: LocalStore) -> None:
    class Cancelled(TaskContext):
        """A context whose task is no longer wanted."""

        @property
        def cancelled(self) -> bool:
            return True

    keys = _fill(store, 3)
    assert call("oss:restore", {"files": keys}, Cancelled())["started"] == 0


def test_status_is_running_until_every_object_can_be_read(store: LocalStore) -> None:
    keys = _fill(store, 8)
    groups = [keys[:4], keys[4:]]
    call("oss:restore", {"files": keys})
    assert call("oss:restoreStatus", {"filesGroup": groups}) == {
        "status": "running",
        "readable": 0,
        "total": 8,
    }
    assert restore_all({"groupSize": 4, "maxKeys": 5}) == (8, 2)
    assert call("oss:restoreStatus", {"filesGroup": groups})["status"] == "success"
    assert [store.read("archive", key) for key in keys] == [key.encode() for key in keys]


@pytest.mark.parametrize("objects", [2, 8])
def test_status_never_waits_for_what_nobody_restores(store: LocalStore, objects: int) -> None:
    keys = _fill(store, objects)
    call("oss:restore", {"files": keys[1:]})
    error = _refused("oss:restoreStatus", {"filesGroup": [keys]})
    assert error.code == "RestoreNotStarted"
    assert f"1 of {objects} objects" in error.cause
    assert "000" in error.cause


@pytest.mark.parametrize("objects", [2, 8])
def test_status_names_an_object_that_vanished(
    store: LocalStore, tmp_path: Path, objects: int
) -> None:
    keys = _fill(store, objects)
    call("oss:restore", {"files": keys})
    (tmp_path / "archive" / keys[-1]).unlink()
    error = _refused("oss:restoreStatus", {"filesGroup": [[key] for key in keys]})
    assert error.code == "NoSuchKey"
    assert keys[-1] in error.cause


def test_a_bucket_that_does_not_exist_is_named_by_every_task(store: LocalStore) -> None:
    for name in ("oss:listArchiveFiles", "oss:restore", "oss:restoreStatus"):
        input = {"bucketName": "nowhere", "files": ["a"], "filesGroup": [["a"]]}
        assert _refused(name, input).code == "NoSuchBucket"


def test_a_place_that_is_not_allowed_is_refused_by_every_task(store: LocalStore) -> None:
    for name in ("oss:listArchiveFiles", "oss:restore", "oss:restoreStatus"):
        input = {"endpoint": "file:///etc", "files": ["a"], "filesGroup": [["a"]]}
        error = _refused(name, input)
        assert error.code == "AccessDenied"
        assert "PENSTOCK_STORAGE_ALLOW" in error.cause
