"""Opening a bucket: from what a flow names to a store that may be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from tasks.errors import TaskError
from tasks.storage.allow_list import check_allowed
from tasks.storage.endpoint import (
    Endpoint,
    LocalEndpoint,
    OssEndpoint,
    S3Endpoint,
    parse_endpoint,
)
from tasks.storage.errors import ACCESS_DENIED, invalid
from tasks.storage.local import LocalStore
from tasks.storage.object_store import ObjectStore
from tasks.storage.oss import OssStore
from tasks.storage.s3 import S3Store
from tasks.storage.settings import PREFIX, StorageSettings


@dataclass(frozen=True, slots=True)
class OpenBucket:
    """A store, the bucket's name in it, and the settings that it was opened with."""

    store: ObjectStore
    name: str
    settings: StorageSettings


def open_bucket(endpoint: str, bucket: str, settings: StorageSettings | None = None) -> OpenBucket:
    """The bucket that a flow names, if the settings allow it.

    A store is kept for the life of the process and shared by its threads: making one costs
    more than most requests.

    Args:
        endpoint: See `tasks.storage.endpoint`; "" is the settings' own.
        bucket: "" is the settings' own.
        settings: None reads the environment.

    Raises:
        TaskError: `AccessDenied`, `FC.InvalidArgument`, `InvalidSettings`, `MissingExtra`,
            `MissingCredentials`.
    """
    settings = settings if settings is not None else StorageSettings.from_environment()
    bucket = bucket or settings.bucket
    if not bucket:
        raise invalid(f"bucketName is empty, and {PREFIX}BUCKET is not set")
    if not (endpoint or settings.endpoint):
        raise TaskError(ACCESS_DENIED, f"endpoint is empty, and {PREFIX}ENDPOINT is not set")
    return open_place(parse_endpoint(endpoint or settings.endpoint), bucket, settings)


def open_place(endpoint: Endpoint, bucket: str, settings: StorageSettings) -> OpenBucket:
    """The same with an endpoint that has been read already."""
    check_allowed(settings.allow, endpoint, bucket)
    return OpenBucket(_store(endpoint, settings.local_thaw_s, os.getpid()), bucket, settings)


@lru_cache(maxsize=64)
def _store(endpoint: Endpoint, thaw_s: float, process: int) -> ObjectStore:
    """`process` is in the key because connections must not be shared across a fork."""
    match endpoint:
        case LocalEndpoint():
            return LocalStore(endpoint.root, thaw_s)
        case OssEndpoint():
            return OssStore(endpoint)
        case S3Endpoint():
            return S3Store(endpoint)
    assert_never(endpoint)
