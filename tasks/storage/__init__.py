"""Object stores of several makers behind one Protocol, chosen by an endpoint's text."""

from tasks.storage.local import LocalStore
from tasks.storage.object_store import (
    ObjectInfo,
    ObjectStore,
    Page,
    RestoreOutcome,
    RestoreState,
)
from tasks.storage.object_stream import ObjectStream, open_object
from tasks.storage.opening import OpenBucket, open_bucket
from tasks.storage.settings import StorageSettings

__all__ = [
    "LocalStore",
    "ObjectInfo",
    "ObjectStore",
    "ObjectStream",
    "OpenBucket",
    "Page",
    "RestoreOutcome",
    "RestoreState",
    "StorageSettings",
    "open_bucket",
    "open_object",
]
