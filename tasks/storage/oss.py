"""The OSS store: buckets of Alibaba Cloud, by its official SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tasks.chunk import CHUNK_BYTES
from tasks.errors import TaskError
from tasks.storage.endpoint import OssEndpoint
from tasks.storage.errors import MISSING_CREDENTIALS, from_answer, invalid, unreachable
from tasks.storage.extras import oss_sdk
from tasks.storage.object_store import (
    MAX_PAGE_KEYS,
    ObjectInfo,
    Page,
    RestoreOutcome,
    state_of,
)
from tasks.storage.ranged import Body, check_partial, read_ranged

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
CONNECTIONS = 100

ATTEMPTS = 8
"""Tries of a listing or a head: the published flows have no retry around these."""

RESTORE_ATTEMPTS = 2
"""Tries of a restore: the flow's own retry policy follows, and gives the worker free meanwhile."""

BASE_DELAY_S = 0.1
MAX_DELAY_S = 5.0

MAX_PUT_BYTES = 5 * 1024**3
"""The largest object that OSS takes in one request."""

Answer = TypeVar("Answer")


class OssStore:
    """An ObjectStore on OSS.

    The keys are `OSS_ACCESS_KEY_ID`, `OSS_ACCESS_KEY_SECRET` and, for temporary ones,
    `OSS_SESSION_TOKEN` of the worker's environment.

    Raises:
        TaskError: `MissingCredentials`, `MissingExtra`.
    """

    def __init__(self, endpoint: OssEndpoint) -> None:
        self._sdk = oss_sdk()
        self._endpoint = endpoint
        self._client = self._sdk.Client(self._config())

    def create_bucket(self, bucket: str) -> None:
        """Makes the bucket, with the account's defaults."""
        request = self._sdk.PutBucketRequest(bucket=bucket)
        self._ask(f"creation of {bucket}", self._client.put_bucket, request)

    def list_page(
        self, bucket: str, prefix: str = "", marker: str = "", max_keys: int = MAX_PAGE_KEYS
    ) -> Page:
        """See ObjectStore. One request; the state of restores comes with it."""
        request = self._sdk.ListObjectsV2Request(
            bucket=bucket, prefix=prefix or None, start_after=marker or None, max_keys=max_keys
        )
        answer = self._ask(f"listing of {bucket}", self._client.list_objects_v2, request)
        objects = tuple(
            _info(entry.key, entry.size, entry.storage_class, entry.restore_info)
            for entry in answer.contents or ()
        )
        end = not answer.is_truncated or not objects
        return Page(objects, "" if end else objects[-1].key, end)

    def restore(self, bucket: str, key: str, days: int = 1, tier: str = "") -> RestoreOutcome:
        """See ObjectStore. `tier` is for ColdArchive and DeepColdArchive."""
        asked = self._sdk.RestoreRequest(days=days, tier=tier or None)
        request = self._sdk.RestoreObjectRequest(bucket=bucket, key=key, restore_request=asked)
        try:
            answer = self._client.restore_object(request, retry_max_attempts=RESTORE_ATTEMPTS)
        except self._sdk.exceptions.BaseError as error:
            if getattr(_innermost(error), "code", "") == "RestoreAlreadyInProgress":
                return RestoreOutcome.IN_PROGRESS
            self._fail(error, f"restore of {bucket}/{key}")
        accepted = answer.status_code == 202
        return RestoreOutcome.STARTED if accepted else RestoreOutcome.ALREADY_RESTORED

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """See ObjectStore."""
        request = self._sdk.HeadObjectRequest(bucket=bucket, key=key)
        answer = self._ask(f"head of {bucket}/{key}", self._client.head_object, request)
        info = _info(key, answer.content_length, answer.storage_class, answer.restore)
        return replace(info, version=answer.etag or "")

    def read(self, bucket: str, key: str) -> bytes:
        """See ObjectStore."""
        request = self._sdk.GetObjectRequest(bucket=bucket, key=key)
        answer = self._ask(f"read of {bucket}/{key}", self._client.get_object, request)
        with answer.body as body:
            return bytes(body.read())

    def read_chunks(
        self,
        bucket: str,
        key: str,
        chunk_bytes: int = CHUNK_BYTES,
        start: int = 0,
        version: str = "",
    ) -> Iterator[bytes]:
        """See ObjectStore."""
        # OSS answers a range behind the end with the whole object.
        if start and start >= self.head(bucket, key).size:
            return iter(())

        @contextmanager
        def ask(at: int, version: str) -> Iterator[Body]:
            request = self._sdk.GetObjectRequest(
                bucket=bucket,
                key=key,
                if_match=version or None,
                range_header=f"bytes={at}-" if at else None,
                range_behavior="standard" if at else None,
            )
            answer = self._ask(f"read of {bucket}/{key}", self._client.get_object, request)
            with answer.body as body:
                check_partial(at, answer.status_code)
                size = at + (answer.content_length or 0)
                yield Body(body.iter_bytes(block_size=chunk_bytes), size, answer.etag or "")

        # The errors of the HTTP library underneath are OSErrors.
        broken = (OSError, self._sdk.exceptions.BaseError)
        return read_ranged(ask, chunk_bytes, start, version, broken)

    def put(self, bucket: str, key: str, data: bytes, storage_class: str = "") -> None:
        """See ObjectStore."""
        request = self._sdk.PutObjectRequest(
            bucket=bucket, key=key, body=data, storage_class=storage_class or None
        )
        self._ask(f"write of {bucket}/{key}", self._client.put_object, request)

    def put_file(self, bucket: str, key: str, path: Path, storage_class: str = "") -> None:
        """See ObjectStore. FC.InvalidArgument for more than `MAX_PUT_BYTES`."""
        if path.stat().st_size > MAX_PUT_BYTES:
            raise invalid(f"write of {bucket}/{key}: OSS takes at most {MAX_PUT_BYTES} bytes")
        request = self._sdk.PutObjectRequest(
            bucket=bucket, key=key, storage_class=storage_class or None
        )
        put = self._client.put_object_from_file
        self._ask(f"write of {bucket}/{key}", lambda asked: put(asked, str(path)), request)

    def _config(self) -> Any:
        sdk = self._sdk
        try:
            credentials = sdk.credentials.EnvironmentVariableCredentialsProvider()
        except sdk.exceptions.CredentialsBaseError as error:
            raise _no_credentials() from error
        return sdk.config.Config(
            region=self._endpoint.region,
            endpoint=self._endpoint.url,
            use_path_style=self._endpoint.path_style,
            credentials_provider=credentials,
            http_client=sdk.transport.RequestsHttpClient(
                connect_timeout=CONNECT_TIMEOUT_S,
                readwrite_timeout=READ_TIMEOUT_S,
                max_connections=CONNECTIONS,
            ),
            retryer=sdk.retry.StandardRetryer(
                max_attempts=ATTEMPTS, max_backoff=MAX_DELAY_S, base_delay=BASE_DELAY_S
            ),
        )

    def _ask(self, what: str, operation: Callable[[Any], Any], request: Any) -> Any:
        try:
            return operation(request)
        except self._sdk.exceptions.BaseError as error:
            self._fail(error, what)

    def _fail(self, error: Exception, what: str) -> NoReturn:
        exceptions = self._sdk.exceptions
        inner = _innermost(error)
        if isinstance(inner, exceptions.ServiceError):
            message = inner.message or ""
            raise from_answer(inner.status_code, inner.code or "", message, what) from error
        if isinstance(inner, exceptions.CredentialsBaseError):
            raise _no_credentials() from error
        if isinstance(inner, exceptions.RequestError | exceptions.ResponseError):
            raise unreachable(str(self._endpoint), str(inner)) from error
        raise invalid(f"{what}: {inner}") from error


def _info(key: str, size: int | None, storage_class: str | None, restore: str | None) -> ObjectInfo:
    """`restore` is OSS's text: `ongoing-request="false", expiry-date="…"`, None without one."""
    text = restore or ""
    state = state_of(
        storage_class or "Standard",
        restoring='ongoing-request="true"' in text,
        restored='ongoing-request="false"' in text,
    )
    return ObjectInfo(key, size or 0, storage_class or "Standard", state)


def _innermost(error: Any) -> Any:
    """The SDK wraps what happened in errors that say during which operation."""
    while isinstance(inner := getattr(error, "_error", None), Exception):
        # A network error of requests stays inside: ours names the SDK's own kinds.
        if not type(inner).__module__.startswith("alibabacloud_oss_v2"):
            break
        error = inner
    return error


def _no_credentials() -> TaskError:
    return TaskError(
        MISSING_CREDENTIALS,
        "no credentials for OSS: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET in the "
        "environment of the worker",
    )
