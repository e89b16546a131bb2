"""The answers of the OSS server for tests, in OSS's own form."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import quote
from xml.etree import ElementTree as ET

from tasks.oss.fake_bucket import FakeObject, OssFault

XML = {"Content-Type": "application/xml"}
MAX_DAYS = 365


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `cut`: the connection ends after half of the body."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def error_answer(error: OssFault) -> Answer:
    """The error as a body, and as a header, which is all that the client of a HEAD gets."""
    fields = {"Code": error.code, "Message": error.message, "RequestId": "FAKE"}
    body = _document("Error", fields)
    return Answer(error.status, body, XML | {"x-oss-err": base64.b64encode(body).decode()})


def object_answer(found: FakeObject, now: float) -> Answer:
    """The object with its headers; a HEAD sends no more than the headers."""
    headers = {
        "ETag": _etag(found),
        "Content-Type": "application/octet-stream",
        "Last-Modified": formatdate(found.modified_at, usegmt=True),
        "x-oss-object-type": "Normal",
        "x-oss-storage-class": found.storage_class,
    }
    info = found.restore_info(now)
    return Answer(200, found.data, headers | ({"x-oss-restore": info} if info else {}))


def part_answer(whole: Answer, headers: Mapping[str, str]) -> Answer:
    """What a get asks for: the object, or its bytes from a place on (`Range: bytes=N-`).

    Raises:
        OssFault: PreconditionFailed, it is not the one that If-Match names; InvalidRange.
    """
    if headers.get("if-match", whole.headers["ETag"]) != whole.headers["ETag"]:
        raise OssFault(412, "PreconditionFailed", "The object is another one by now.")
    if "range" not in headers:
        return whole
    start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
    size = len(whole.body)
    if start >= size:
        raise OssFault(416, "InvalidRange", "The range begins behind the end.")
    span = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
    return Answer(206, whole.body[start:], whole.headers | span)


def list_answer(
    bucket: str, query: Mapping[str, str], page: Sequence[FakeObject], more: bool, now: float
) -> Answer:
    """A page of ListObjectsV2, with RestoreInfo where there is a restore."""
    encoded = query.get("encoding-type") == "url"
    root = ET.Element("ListBucketResult")
    fields = {
        "Name": bucket,
        "Prefix": _text(query.get("prefix", ""), encoded),
        "StartAfter": _text(query.get("start-after", ""), encoded),
        "MaxKeys": query.get("max-keys", "100"),
        "KeyCount": str(len(page)),
        "IsTruncated": "true" if more else "false",
    }
    fields |= {"EncodingType": "url"} if encoded else {}
    fields |= {"NextContinuationToken": _text(page[-1].key, encoded)} if more else {}
    _add_fields(root, fields)
    for found in page:
        _add_fields(ET.SubElement(root, "Contents"), _listed(found, encoded, now))
    return Answer(200, _xml(root), XML)


def restore_days(body: bytes) -> int:
    """The days that a restore request asks for, 1 without a body. OssFault: MalformedXML."""
    if not body:
        return 1
    try:
        days = int(ET.fromstring(body).findtext("Days") or 1)
    except (ET.ParseError, ValueError) as error:
        raise OssFault(400, "MalformedXML", "The restore request is not well-formed.") from error
    if not 1 <= days <= MAX_DAYS:
        raise OssFault(400, "MalformedXML", f"Days must be from 1 to {MAX_DAYS}.")
    return days


def _listed(found: FakeObject, encoded: bool, now: float) -> dict[str, str]:
    modified = datetime.fromtimestamp(found.modified_at, UTC)
    fields = {
        "Key": _text(found.key, encoded),
        "LastModified": modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "ETag": _etag(found),
        "Type": "Normal",
        "Size": str(len(found.data)),
        "StorageClass": found.storage_class,
    }
    info = found.restore_info(now)
    return fields | ({"RestoreInfo": info} if info else {})


def _text(value: str, encoded: bool) -> str:
    return quote(value, safe="") if encoded else value


def _etag(found: FakeObject) -> str:
    return f'"{hashlib.md5(found.data, usedforsecurity=False).hexdigest().upper()}"'


def _document(name: str, fields: Mapping[str, str]) -> bytes:
    root = ET.Element(name)
    _add_fields(root, fields)
    return _xml(root)


def _add_fields(parent: ET.Element, fields: Mapping[str, str]) -> None:
    for name, value in fields.items():
        ET.SubElement(parent, name).text = value


def _xml(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, "utf-8", xml_declaration=True))
