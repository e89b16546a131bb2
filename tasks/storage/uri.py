"""The object's URI: one text that names an object and the store it is in.

| text | object |
|---|---|
| `file:///srv/archive/photos/2026/a.jpg`, `/srv/archive/photos/2026/a.jpg` | a file |
| `oss://bucket/2026/a.jpg` | in OSS, at the endpoint of the settings |
| `s3://bucket/2026/a.jpg` | in S3, at the endpoint of the settings |
| `oss+https://HOST/bucket/key`, `s3+https://HOST/bucket/key`, `https://HOST/bucket/key` | there |

Behind the bucket a key is written as it is, `?`, `#` and `%` too, as the makers' own tools do; only
`file:` URIs are percent-decoded. Where the folder that is a file's bucket is not plain from the
text (its archive states are kept there), it is the outermost one that has been used as a bucket;
else the first one inside of the folder that the settings name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tasks.errors import TaskError
from tasks.storage.archive_state import STATE_FOLDER
from tasks.storage.endpoint import (
    Endpoint,
    LocalEndpoint,
    OssEndpoint,
    S3Endpoint,
    parse_endpoint,
)
from tasks.storage.errors import invalid
from tasks.storage.settings import PREFIX, StorageSettings

_MAKERS = {"oss": OssEndpoint, "s3": S3Endpoint}
_ELSEWHERE = ("http", "https", "oss+http", "oss+https", "s3+http", "s3+https")


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """Where an object is. Nothing is known of whether it may be used, or is there."""

    endpoint: Endpoint
    bucket: str
    key: str


def place_of(uri: str, settings: StorageSettings) -> ObjectPlace:
    """The place that a URI names.

    Raises:
        TaskError: `FC.InvalidArgument`, it names none, with what is missing.
    """
    uri = uri.strip()
    if uri.startswith("/"):
        return _local(Path(uri), settings)
    scheme, found, rest = uri.partition("://")
    scheme = scheme.lower()
    if found and scheme == "file":
        return _local(Path(unquote(rest.removeprefix("localhost"))), settings)
    if found and scheme in _MAKERS:
        bucket, _, key = rest.partition("/")
        return _named(uri, _endpoint_of(scheme, uri, settings), bucket, key)
    if found and scheme in _ELSEWHERE:
        host, _, path = rest.partition("/")
        bucket, _, key = path.partition("/")
        return _named(uri, parse_endpoint(f"{scheme}://{host}"), bucket, key)
    raise invalid(
        f"{uri!r} names no object: use file:///folder/file, oss://bucket/key, s3://bucket/key or "
        "oss+https://host/bucket/key"
    )


def _named(uri: str, endpoint: Endpoint, bucket: str, key: str) -> ObjectPlace:
    if not bucket or not key:
        raise invalid(f"{uri!r} must name a bucket and, behind a slash, a key")
    return ObjectPlace(endpoint, bucket, key)


def _endpoint_of(scheme: str, uri: str, settings: StorageSettings) -> Endpoint:
    endpoint = parse_endpoint(settings.endpoint) if settings.endpoint else None
    if endpoint is None or not isinstance(endpoint, _MAKERS[scheme]):
        raise invalid(
            f"{uri!r} names a bucket at the endpoint of the settings, and {PREFIX}ENDPOINT names "
            f"none of {scheme.upper()}: set it, or write {scheme}+https://host/bucket/key"
        )
    return endpoint


def _local(path: Path, settings: StorageSettings) -> ObjectPlace:
    unfit = ".." in path.parts or "\0" in str(path)
    if unfit or not path.is_absolute() or len(path.parts) < 3:
        raise invalid(f"{str(path)!r} must be the whole path of a file in a folder, without '..'")
    # The folder without symbolic links, as endpoints and the allow-list have theirs.
    folder = path.parent.resolve()
    bucket = _bucket_of(folder, settings)
    key = (folder / path.name).relative_to(bucket).as_posix()
    return ObjectPlace(LocalEndpoint(bucket.parent), bucket.name, key)


def _bucket_of(folder: Path, settings: StorageSettings) -> Path:
    """The folder, itself or around `folder`, that is the bucket."""
    around = (root for root in _roots(settings) if folder.is_relative_to(root))
    root = max(around, key=lambda found: len(found.parts), default=None)
    if root is None:
        return folder
    inside = [root / part for part in _grown(folder.relative_to(root))]
    used = (found for found in [root, *inside] if (found / STATE_FOLDER).is_dir())
    return next(used, None) or (inside[0] if inside else root)


def _grown(path: Path) -> list[Path]:
    """`a/b/c` -> a, a/b, a/b/c."""
    return [Path(*path.parts[: count + 1]) for count in range(len(path.parts))]


def _roots(settings: StorageSettings) -> Iterator[Path]:
    for text in (settings.endpoint, *settings.allow):
        try:
            endpoint = parse_endpoint(text) if text else None
        except TaskError:
            # The allow-list itself tells what is wrong with its entries.
            continue
        if isinstance(endpoint, LocalEndpoint):
            yield endpoint.root
