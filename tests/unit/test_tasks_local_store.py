"""The local store: keys and pages, archive states by the clock, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import TaskError
from tasks.oss.seeking import just_before, seek
from tasks.storage import (
    LocalStore,
    OpenBucket,
    RestoreOutcome,
    RestoreState,
    StorageSettings,
)

DAY_S = 86_400


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> LocalStore:
    store = LocalStore(tmp_path, thaw_s=5, clock=clock)
    store.create_bucket("photos")
    return store


def _code(call: Callable[[], object]) -> str:
    with pytest.raises(TaskError) as caught:
        call()
    assert "\n" not in caught.value.cause
    return caught.value.code


def test_an_archived_object_thaws_by_the_clock_and_freezes_again(
    store: LocalStore, clock: Clock
) -> None:
    store.put("photos", "a/b.jpg", b"bytes", "Archive")
    assert store.head("photos", "a/b.jpg").restore_state is RestoreState.FROZEN
    assert _code(lambda: store.read("photos", "a/b.jpg")) == "InvalidObjectState"

    assert store.restore("photos", "a/b.jpg", days=2) is RestoreOutcome.STARTED
    clock.now += 4.9
    assert store.restore("photos", "a/b.jpg", days=2) is RestoreOutcome.IN_PROGRESS
    assert store.head("photos", "a/b.jpg").restore_state is RestoreState.THAWING
    assert _code(lambda: store.read("photos", "a/b.jpg")) == "InvalidObjectState"

    clock.now += 0.1
    assert store.read("photos", "a/b.jpg") == b"bytes"
    clock.now += DAY_S
    assert store.restore("photos", "a/b.jpg", days=2) is RestoreOutcome.ALREADY_RESTORED
    clock.now += 2 * DAY_S - 1
    assert store.head("photos", "a/b.jpg").restore_state is RestoreState.THAWED
    clock.now += 1
    assert store.head("photos", "a/b.jpg").restore_state is RestoreState.FROZEN
    assert store.restore("photos", "a/b.jpg") is RestoreOutcome.STARTED


def test_a_file_that_somebody_put_there_is_an_ordinary_object(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "photos" / "plain.txt").write_bytes(b"text")
    info = store.head("photos", "plain.txt")
    assert (info.storage_class, info.size, info.readable) == ("Standard", 4, True)
    assert store.read("photos", "plain.txt") == b"text"
    assert _code(lambda: store.restore("photos", "plain.txt")) == "FC.InvalidArgument"


def test_writing_over_an_archived_object_makes_it_ordinary(store: LocalStore) -> None:
    store.put("photos", "a", b"1", "ColdArchive")
    store.put("photos", "a", b"2")
    assert store.read("photos", "a") == b"2"


def test_pages_follow_the_order_of_the_keys(store: LocalStore) -> None:
    keys = ["a.txt", "a/b", "a/c/d", "a0", "b", "é", "z/1", "z/2"]
    for key in reversed(keys):
        store.put("photos", key, b"", "Archive")
    assert [info.key for info in store.list_page("photos").objects] == sorted(keys)
    found: list[str] = []
    marker, end = "", False
    while not end:
        page = store.list_page("photos", marker=marker, max_keys=3)
        found += [info.key for info in page.objects]
        assert len(page.objects) <= 3
        marker, end = page.next_marker, page.end
    assert found == sorted(keys)
    assert marker == ""


def test_a_page_begins_after_its_marker_and_has_its_prefix(store: LocalStore) -> None:
    for key in ("a/1", "a/2", "a/3", "ab", "b/1"):
        store.put("photos", key, b"")
    page = store.list_page("photos", prefix="a/", marker="a/1")
    assert ([info.key for info in page.objects], page.end) == (["a/2", "a/3"], True)
    assert [info.key for info in store.list_page("photos", prefix="a").objects][-1] == "ab"


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "", "a\0b", ".penstock/lock", "a/"],
)
def test_a_key_that_leads_elsewhere_is_refused(store: LocalStore, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.read("photos", key),
        lambda: store.head("photos", key),
        lambda: store.put("photos", key, b""),
        lambda: store.restore("photos", key),
    ]
    assert [_code(call) for call in calls] == ["FC.InvalidArgument"] * 4


def test_a_link_out_of_the_bucket_is_neither_read_nor_listed(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "secret")
    assert _code(lambda: store.read("photos", "link")) == "FC.InvalidArgument"
    assert store.list_page("photos").objects == ()


def test_what_is_not_there_is_named(store: LocalStore) -> None:
    assert _code(lambda: store.list_page("nowhere")) == "NoSuchBucket"
    assert _code(lambda: store.list_page("..")) == "NoSuchBucket"
    assert _code(lambda: store.put("nowhere", "a", b"")) == "NoSuchBucket"
    assert _code(lambda: store.read("photos", "gone")) == "NoSuchKey"
    assert _code(lambda: store.restore("photos", "gone")) == "NoSuchKey"
    store.put("photos", "folder/file", b"")
    assert _code(lambda: store.head("photos", "folder")) == "NoSuchKey"
    assert _code(lambda: store.read("photos", "folder/file/deeper")) == "NoSuchKey"
    assert _code(lambda: store.put("photos", "folder", b"")) == "FC.InvalidArgument"
    assert _code(lambda: store.put("photos", "folder/file/x", b"")) == "FC.InvalidArgument"
    assert _code(lambda: store.put("photos", "a", b"", "Frozen")) == "FC.InvalidArgument"


def test_of_many_restores_at_once_one_starts_it(store: LocalStore) -> None:
    store.put("photos", "a", b"", "Archive")
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: store.restore("photos", "a"), range(40)))
    assert outcomes.count(RestoreOutcome.STARTED) == 1
    assert outcomes.count(RestoreOutcome.IN_PROGRESS) == 39


def test_a_reader_sees_an_old_object_or_a_new_one_and_never_a_part(store: LocalStore) -> None:
    sizes = (1, 200_000)
    store.put("photos", "a", b"x")

    def work(number: int) -> int:
        if number % 2:
            store.put("photos", "a", b"x" * sizes[number // 2 % 2])
        return len(store.read("photos", "a"))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(100))) <= set(sizes)


def test_seeking_jumps_over_what_nobody_wants(store: LocalStore) -> None:
    for number in range(50):
        store.put("photos", f"k/{number:03d}", b"", "Archive")
    bucket = OpenBucket(store, "photos", StorageSettings())
    pages = list(seek(bucket, ["k/000", "k/017", "k/049", "k/999"]))
    assert [key for page in pages for key in page] == ["k/000", "k/017", "k/049"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_the_marker_before_a_key_sorts_before_it_and_can_be_sent(key: str) -> None:
    assert just_before(key) < key
    just_before(key).encode()
