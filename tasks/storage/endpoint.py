"""The endpoint: which store a text names, and where.

| text | store |
|---|---|
| `file:///srv/archive`, `/srv/archive`, `./archive` | a local folder; subfolders are buckets |
| `oss://cn-hangzhou` | OSS, the region's public endpoint |
| `https://oss-cn-hangzhou.aliyuncs.com`, `oss-cn-hangzhou-internal.aliyuncs.com` | OSS |
| `oss+http://127.0.0.1:9000`, any other `http(s)://host` | OSS at that address |
| `s3://eu-west-1`, `https://s3.eu-west-1.amazonaws.com` | S3 |
| `s3+https://minio.example.org` | S3 at that address |

The region is read from the name of the host; `?region=cn-beijing` names it where that is not
possible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from tasks.storage.errors import invalid

OSS_DEFAULT_REGION = "cn-hangzhou"
S3_DEFAULT_REGION = "us-east-1"

_OSS_HOST = re.compile(r"^(?:[\w-]+\.)?oss-(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$")
_S3_HOST = re.compile(r"(?:^|\.)s3[.-](?:dualstack\.)?(?P<region>[a-z0-9-]+)\.amazonaws\.com")
_REGION = re.compile(r"^[a-z0-9-]+$")


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """A folder on this machine; `root` is absolute, with symbolic links resolved."""

    root: Path

    def __str__(self) -> str:
        return self.root.as_uri()


@dataclass(frozen=True, slots=True)
class OssEndpoint:
    """OSS at `url` (scheme and host). `path_style`: the host has no name per bucket."""

    url: str
    region: str
    path_style: bool = False

    def __str__(self) -> str:
        return f"oss+{self.url}"


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """S3 of a region; `url` None means Amazon's own."""

    region: str
    url: str | None = None

    def __str__(self) -> str:
        return f"s3+{self.url}" if self.url else f"s3://{self.region}"


Endpoint: TypeAlias = LocalEndpoint | OssEndpoint | S3Endpoint


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that `text` names; a path after a host is not part of it.

    Raises:
        TaskError: `FC.InvalidArgument`, it names none.
    """
    return split_endpoint(text)[0]


def split_endpoint(text: str) -> tuple[Endpoint, str]:
    """An endpoint and the path behind its host (`oss://cn-hangzhou/bucket`), "" if none.

    A local endpoint is all path, so there is never one behind it.

    Raises:
        TaskError: `FC.InvalidArgument`, it names no endpoint.
    """
    text = text.strip()
    if text.startswith(("/", "./", "../", "~")) or text in (".", ".."):
        return LocalEndpoint(Path(text).expanduser().resolve()), ""
    url = _split(text if "://" in text else f"https://{text}")
    if url.scheme == "file":
        return _local(url, text), ""
    if not url.hostname or url.username is not None or "@" in url.netloc:
        raise invalid(f"endpoint {text!r} must name a host, and no user")
    return _remote(url, text), url.path.strip("/")


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  (reading it checks it)
    except ValueError as error:
        raise invalid(f"endpoint {text!r}: {error}") from error
    return url


def _local(url: SplitResult, text: str) -> LocalEndpoint:
    if url.netloc not in ("", "localhost") or not url.path.startswith("/"):
        raise invalid(f"endpoint {text!r}: a local folder is file:///absolute/path")
    return LocalEndpoint(Path(unquote(url.path)).resolve())


def _remote(url: SplitResult, text: str) -> Endpoint:
    maker, _, scheme = url.scheme.rpartition("+")
    match maker, scheme:
        case "", "oss":
            return _oss_by_name(url)
        case "", "s3":
            return S3Endpoint(_region(url.netloc, text))
        case "s3", "http" | "https":
            region = _asked_region(url, text) or S3_DEFAULT_REGION
            return S3Endpoint(region, f"{scheme}://{url.netloc}")
        case "" | "oss", "http" | "https":
            return _by_host(url, scheme, text, maker)
        case _:
            raise invalid(
                f"endpoint {text!r}: unknown kind {url.scheme!r}; use file, oss, oss+http(s), "
                "s3, s3+http(s) or http(s)"
            )


def _oss_by_name(url: SplitResult) -> OssEndpoint:
    """`oss://` is followed by a region or by an endpoint's host."""
    if "." in url.netloc or ":" in url.netloc:
        return _oss(url, "https", url.netloc)
    return OssEndpoint(f"https://oss-{url.netloc}.aliyuncs.com", _region(url.netloc, url.netloc))


def _by_host(url: SplitResult, scheme: str, text: str, maker: str) -> Endpoint:
    host = (url.hostname or "").lower()
    amazon = _S3_HOST.search(host)
    if maker == "" and (amazon or host == "s3.amazonaws.com"):
        return S3Endpoint(amazon["region"] if amazon else S3_DEFAULT_REGION)
    return _oss(url, scheme, text)


def _oss(url: SplitResult, scheme: str, text: str) -> OssEndpoint:
    host = (url.hostname or "").lower()
    named = _OSS_HOST.match(host)
    region = _asked_region(url, text) or (named["region"] if named else OSS_DEFAULT_REGION)
    return OssEndpoint(f"{scheme}://{url.netloc.lower()}", region, _nameless(host))


def _nameless(host: str) -> bool:
    """True for hosts that cannot carry a bucket in front: IP addresses and plain names."""
    try:
        ip_address(host)
    except ValueError:
        return "." not in host
    return True


def _asked_region(url: SplitResult, text: str) -> str:
    asked = parse_qs(url.query).get("region", [""])[0]
    return _region(asked, text) if asked else ""


def _region(name: str, text: str) -> str:
    if not _REGION.match(name):
        raise invalid(f"endpoint {text!r}: {name!r} is not a region")
    return name
