"""Archives: buckets of frozen objects in each kind of store, and how a worker may reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tasks.oss.fake_server import FakeOss, fill
from tasks.storage import LocalStore
from tasks.storage.object_store import ObjectStore
from tasks.storage.opening import open_bucket
from tasks.storage.settings import StorageSettings
from tests.acceptance.servers import moto_server

BUCKET = "archive"
THAW_S = 0.2
CREDENTIALS = {
    "OSS_ACCESS_KEY_ID": "id",
    "OSS_ACCESS_KEY_SECRET": "secret",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@dataclass(frozen=True, slots=True)
class Archive:
    """A bucket whose objects are frozen, and the environment that a worker needs for it."""

    endpoint: str
    store: ObjectStore
    keys: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def input(self) -> dict[str, object]:
        """Where it is, as the flows are told."""
        return {"endpoint": self.endpoint, "bucketName": BUCKET}

    def unreadable(self) -> list[str]:
        """The keys whose bytes cannot be read, or are not those that were written."""
        with ThreadPoolExecutor(8) as pool:
            read = pool.map(lambda key: self.store.read(BUCKET, key), self.keys)
            return [key for key, data in zip(self.keys, read, strict=True) if data != _data(key)]


def _data(key: str) -> bytes:
    return f"content of {key}".encode()


def local_archive(folder: Path, objects: int) -> Archive:
    """A folder of archived objects."""
    store = LocalStore(folder, thaw_s=THAW_S)
    store.create_bucket(BUCKET)
    keys = tuple(f"{number % 7}/ü {number:05d}" for number in range(objects))
    for key in keys:
        store.put(BUCKET, key, _data(key), "Archive")
    env = {"PENSTOCK_STORAGE_LOCAL_THAW_S": str(THAW_S), **_allowing(folder.as_uri())}
    return Archive(folder.as_uri(), store, keys, env)


@contextmanager
def oss_archive(objects: int) -> Iterator[tuple[Archive, FakeOss]]:
    """A bucket on the OSS server for tests."""
    with FakeOss(thaw_s=THAW_S) as server:
        fill(server.buckets, BUCKET, 0)
        keys = tuple(f"photos/ü+{number:05d}" for number in range(objects))
        for key in keys:
            server.buckets.put(BUCKET, key, _data(key), "ColdArchive")
        yield _remote(f"oss+{server.url}", keys), server


@contextmanager
def s3_archive(objects: int) -> Iterator[Archive]:
    """A bucket on moto."""
    with moto_server() as url:
        keys = tuple(f"photos/ü+{number:05d}" for number in range(objects))
        archive = _remote(f"s3+{url}", keys)
        archive.store.create_bucket(BUCKET)  # type: ignore[attr-defined]  # S3Store has it
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda k: archive.store.put(BUCKET, k, _data(k), "GLACIER"), keys))
        yield archive


def _remote(endpoint: str, keys: tuple[str, ...]) -> Archive:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        settings = StorageSettings(allow=(endpoint,))
        store = open_bucket(endpoint, BUCKET, settings).store
    return Archive(endpoint, store, keys, {**CREDENTIALS, **_allowing(endpoint)})


def _allowing(endpoint: str) -> dict[str, str]:
    return {"PENSTOCK_STORAGE_ALLOW": endpoint}
