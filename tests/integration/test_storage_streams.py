"""Objects as sources and sinks of streams: the same of a folder, of OSS and of S3."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.errors import TaskError
from tasks.oss.fake_faults import FaultRates
from tasks.oss.fake_server import FakeOss
from tasks.storage import LocalStore, ObjectStream, open_object
from tasks.storage.object_store import ObjectStore
from tasks.storage.oss import OssStore
from tasks.storage.s3 import S3Store
from tests.object_servers import moto_server

MIB = 1024 * 1024
DATA = random.Random(1).randbytes(MIB + 12_345)
PIECE = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket that is there, and what URIs of its objects begin with."""

    base: str
    store: ObjectStore

    def __call__(self, key: str) -> ObjectStream:
        return open_object(f"{self.base}/{key}")


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def oss(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOss]:
    with FakeOss(thaw_s=60) as server:
        monkeypatch.setenv("OSS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "secret")
        yield server


@pytest.fixture(params=["local", "oss", "s3"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    match request.param:
        case "local":
            endpoint, base = tmp_path.as_uri(), f"{tmp_path.as_uri()}/photos"
        case "oss":
            server: FakeOss = request.getfixturevalue("oss")
            endpoint, base = f"oss+{server.url}", "oss://photos"
        case _:
            url: str = request.getfixturevalue("moto_url")
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
            endpoint, base = f"s3+{url}", "s3://photos"
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", endpoint)
    monkeypatch.setenv("PENSTOCK_STORAGE_ENDPOINT", endpoint)
    store = open_object(f"{base}/any").bucket.store
    assert isinstance(store, LocalStore | OssStore | S3Store)
    store.create_bucket("photos")
    return Place(base, store)


def _code(ask: Callable[[], object]) -> str:
    with pytest.raises(TaskError) as caught:
        ask()
    assert "\n" not in caught.value.cause
    return caught.value.code


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "outgoing"
    path.write_bytes(data)
    return path


def test_a_file_becomes_an_object_and_is_read_in_chunks_of_one_length(
    place: Place, tmp_path: Path
) -> None:
    stream = place("2026/a b.jpg")
    stream.put_file(_file(tmp_path, DATA))
    pieces = list(stream.read(PIECE))
    assert b"".join(pieces) == DATA
    assert [len(piece) for piece in pieces[:-1]] == [PIECE] * (len(DATA) // PIECE)
    assert place.store.read("photos", "2026/a b.jpg") == DATA
    assert stream.info().size == len(DATA)


@pytest.mark.parametrize("start", [0, 1, PIECE, len(DATA) - 1, len(DATA), len(DATA) + 1])
def test_reading_begins_anywhere(place: Place, start: int) -> None:
    place.store.put("photos", "a", DATA)
    assert b"".join(place("a").read(PIECE, start)) == DATA[start:]


def test_an_object_may_be_empty(place: Place, tmp_path: Path) -> None:
    place("empty").put_file(_file(tmp_path, b""))
    assert list(place("empty").read()) == []
    assert list(place("empty").read(start=1)) == []


def test_an_object_that_was_replaced_is_not_read_on_as_the_other(place: Place) -> None:
    place.store.put("photos", "a", DATA)
    version = place("a").info().version
    assert version
    assert b"".join(place("a").read(PIECE, 5, version)) == DATA[5:]
    place.store.put("photos", "a", DATA[::-1])
    assert place("a").info().version != version
    for start in (0, 5):
        with pytest.raises(TaskError) as caught:
            list(place("a").read(PIECE, start, version))
        assert caught.value.code == "ObjectChanged"


def test_what_cannot_be_read_has_the_same_name_everywhere(place: Place, tmp_path: Path) -> None:
    archived = {"LocalStore": "Archive", "OssStore": "Archive", "S3Store": "GLACIER"}
    place.store.put("photos", "cold", b"x", archived[type(place.store).__name__])
    assert _code(lambda: list(place("cold").read())) == "InvalidObjectState"
    assert _code(lambda: list(place("gone").read())) == "NoSuchKey"
    assert _code(lambda: list(place("gone").read(start=7))) == "NoSuchKey"
    elsewhere = open_object(f"{place.base.replace('photos', 'nowhere')}/a")
    assert _code(lambda: elsewhere.put_file(_file(tmp_path, b"x"))) == "NoSuchBucket"


def test_only_what_the_settings_allow_is_opened(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", "oss://cn-hangzhou")
    assert _code(lambda: place("a")) == "AccessDenied"


def test_a_large_object_passes_through_little_memory(place: Place, tmp_path: Path) -> None:
    size = 24 * MIB
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    put_peak = _peak(lambda: place("large").put_file(path))
    read_peak = _peak(lambda: sum(map(len, place("large").read())))
    assert place("large").info().size == size
    # The server for OSS lives in this process and holds the object itself, more than once.
    if not isinstance(place.store, OssStore):
        assert put_peak < 8 * MIB
        assert read_peak < 4 * MIB


def test_a_body_that_breaks_off_is_asked_for_again_from_where_it_broke(
    oss: FakeOss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", f"oss+{oss.url}")
    oss.buckets.create("photos")
    oss.buckets.put("photos", "a", DATA, "Standard")
    oss.faults.change(FaultRates(cut_rate=0.9, seed=3, operations=frozenset({"get"})))
    stream = open_object(f"oss+{oss.url}/photos/a")
    assert b"".join(stream.read(1000)) == DATA
    assert oss.requests["get"] > 2
    oss.faults.change(FaultRates(cut_rate=1, operations=frozenset({"get"})))
    assert _code(lambda: list(stream.read(PIECE))) == "FC.InternalServerError"


def test_an_object_that_changes_between_two_halves_is_an_error(
    oss: FakeOss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", f"oss+{oss.url}")
    oss.buckets.create("photos")
    oss.buckets.put("photos", "a", DATA, "Standard")
    oss.faults.change(FaultRates(cut_rate=1, operations=frozenset({"get"})))
    reading = open_object(f"oss+{oss.url}/photos/a").read(PIECE)
    assert next(reading) == DATA[:PIECE]
    oss.buckets.put("photos", "a", DATA[::-1], "Standard")
    assert _code(lambda: list(reading)) == "ObjectChanged"


def _peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
