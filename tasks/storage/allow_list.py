"""The allow-list: which endpoints, buckets and local folders flows may name."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from tasks.errors import TaskError
from tasks.storage.endpoint import Endpoint, LocalEndpoint, split_endpoint
from tasks.storage.errors import ACCESS_DENIED, INVALID_SETTINGS, invalid
from tasks.storage.settings import PREFIX

_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


def check_allowed(allow: tuple[str, ...], endpoint: Endpoint, bucket: str) -> None:
    """Passes when one entry of `allow` covers this bucket; see `StorageSettings.allow`.

    Raises:
        TaskError: `AccessDenied`, no entry does, with the entry that would;
            `FC.InvalidArgument`, no bucket can have that name;
            `InvalidSettings`, an entry cannot be read.
    """
    if not _BUCKET.match(bucket):
        raise invalid(f"bucketName {bucket!r} is not a bucket's name")
    if not any(_covers(entry, endpoint, bucket) for entry in allow):
        raise TaskError(
            ACCESS_DENIED,
            f"bucket {bucket} at {endpoint} is not in {PREFIX}ALLOW; a worker may use it when "
            f"that setting has the entry {_entry_for(endpoint, bucket)}",
        )


def _covers(entry: str, endpoint: Endpoint, bucket: str) -> bool:
    try:
        allowed, pattern = split_endpoint(entry)
    except TaskError as error:
        raise TaskError(INVALID_SETTINGS, f"{PREFIX}ALLOW: {error.cause}") from error
    if isinstance(allowed, LocalEndpoint):
        # Resolved, so that neither `..` nor a symbolic link leads out of the folder.
        return isinstance(endpoint, LocalEndpoint) and (
            (endpoint.root / bucket).resolve().is_relative_to(allowed.root)
        )
    return allowed == endpoint and fnmatchcase(bucket, pattern or "*")


def _entry_for(endpoint: Endpoint, bucket: str) -> str:
    return f"{endpoint}" if isinstance(endpoint, LocalEndpoint) else f"{endpoint}/{bucket}"
