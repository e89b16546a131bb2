"""The S3 store: buckets of Amazon S3 and of servers that speak like it, by boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tasks.chunk import CHUNK_BYTES
from tasks.errors import TaskError
from tasks.storage.endpoint import S3Endpoint
from tasks.storage.errors import MISSING_CREDENTIALS, from_answer, invalid, unreachable
from tasks.storage.extras import s3_sdk, s3_transfer
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

UPLOAD_THREADS = 2
"""Parts of a large file on their way at once."""

ATTEMPTS = 6


class S3Store:
    """An ObjectStore on S3; archive classes are GLACIER and DEEP_ARCHIVE.

    Credentials come by boto3's own chain: environment, shared files, the machine's role.

    Raises:
        TaskError: `MissingExtra`.
    """

    def __init__(self, endpoint: S3Endpoint) -> None:
        boto3, config, self._errors = s3_sdk()
        self._endpoint = endpoint
        # A session of its own: boto3's shared one is not safe while threads make clients.
        self._client = boto3.session.Session().client(
            "s3",
            region_name=endpoint.region,
            endpoint_url=endpoint.url,
            config=config.Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                max_pool_connections=CONNECTIONS,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                s3={"addressing_style": "path"} if endpoint.url else None,
            ),
        )

    def create_bucket(self, bucket: str) -> None:
        """Makes the bucket in the endpoint's region."""
        region = self._endpoint.region
        # The first region is the default one, and S3 refuses to have it named.
        place: dict[str, Any] = (
            {}
            if region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        with self._answers(f"creation of {bucket}"):
            self._client.create_bucket(Bucket=bucket, **place)

    def list_page(
        self, bucket: str, prefix: str = "", marker: str = "", max_keys: int = MAX_PAGE_KEYS
    ) -> Page:
        """See ObjectStore. One request; Amazon's own servers tell restores with it."""
        with self._answers(f"listing of {bucket}"):
            answer = self._client.list_objects_v2(
                Bucket=bucket,
                Prefix=prefix,
                StartAfter=marker,
                MaxKeys=max_keys,
                OptionalObjectAttributes=["RestoreStatus"],
            )
        objects = tuple(_listed(entry) for entry in answer.get("Contents", ()))
        end = not answer.get("IsTruncated") or not objects
        return Page(objects, "" if end else objects[-1].key, end)

    def restore(self, bucket: str, key: str, days: int = 1, tier: str = "") -> RestoreOutcome:
        """See ObjectStore."""
        asked: dict[str, Any] = {"Days": days}
        if tier:
            asked["GlacierJobParameters"] = {"Tier": tier}
        try:
            with self._answers(f"restore of {bucket}/{key}", "RestoreAlreadyInProgress"):
                answer = self._client.restore_object(Bucket=bucket, Key=key, RestoreRequest=asked)
        except self._errors.ClientError:
            return RestoreOutcome.IN_PROGRESS
        accepted = answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        return RestoreOutcome.STARTED if accepted else RestoreOutcome.ALREADY_RESTORED

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """See ObjectStore."""
        with self._answers(f"head of {bucket}/{key}"):
            answer = self._client.head_object(Bucket=bucket, Key=key)
        storage_class, text = answer.get("StorageClass", "STANDARD"), answer.get("Restore", "")
        state = state_of(
            storage_class,
            restoring='ongoing-request="true"' in text,
            restored='ongoing-request="false"' in text,
        )
        return ObjectInfo(key, answer["ContentLength"], storage_class, state, answer["ETag"])

    def read(self, bucket: str, key: str) -> bytes:
        """See ObjectStore."""
        with self._answers(f"read of {bucket}/{key}"):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            return bytes(answer["Body"].read())

    def read_chunks(
        self,
        bucket: str,
        key: str,
        chunk_bytes: int = CHUNK_BYTES,
        start: int = 0,
        version: str = "",
    ) -> Iterator[bytes]:
        """See ObjectStore."""
        # S3 refuses a range that begins behind the end.
        if start and start >= self.head(bucket, key).size:
            return iter(())

        @contextmanager
        def ask(at: int, version: str) -> Iterator[Body]:
            asked = ({"Range": f"bytes={at}-"} if at else {}) | (
                {"IfMatch": version} if version else {}
            )
            with self._answers(f"read of {bucket}/{key}"):
                answer = self._client.get_object(Bucket=bucket, Key=key, **asked)
            body = answer["Body"]
            with closing(body):
                check_partial(at, answer["ResponseMetadata"]["HTTPStatusCode"])
                size = at + answer["ContentLength"]
                yield Body(body.iter_chunks(chunk_bytes), size, answer["ETag"])

        broken = (OSError, self._errors.BotoCoreError)
        return read_ranged(ask, chunk_bytes, start, version, broken)

    def put(self, bucket: str, key: str, data: bytes, storage_class: str = "") -> None:
        """See ObjectStore."""
        with self._answers(f"write of {bucket}/{key}"):
            self._client.put_object(
                Bucket=bucket, Key=key, Body=data, StorageClass=storage_class or "STANDARD"
            )

    def put_file(self, bucket: str, key: str, path: Path, storage_class: str = "") -> None:
        """See ObjectStore. A large file goes in parts, which S3 joins at the end."""
        transfer = s3_transfer()
        config = transfer.TransferConfig(max_concurrency=UPLOAD_THREADS)
        extra = {"StorageClass": storage_class or "STANDARD"}
        with (
            self._answers(f"write of {bucket}/{key}"),
            transfer.create_transfer_manager(self._client, config) as manager,
        ):
            manager.upload(str(path), bucket, key, extra).result()

    @contextmanager
    def _answers(self, what: str, passed: str = "") -> Iterator[None]:
        """Turns boto3's errors into TaskErrors; one with the code `passed` goes on as it is."""
        errors = self._errors
        try:
            yield
        except errors.ClientError as error:
            details = error.response.get("Error", {})
            code, message = str(details.get("Code", "")), str(details.get("Message", ""))
            if passed and code == passed:
                raise
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
            raise from_answer(status, code, message, what) from error
        except (errors.NoCredentialsError, errors.PartialCredentialsError) as error:
            raise _no_credentials() from error
        except (errors.HTTPClientError, errors.ConnectionError) as error:
            raise unreachable(str(self._endpoint), str(error)) from error
        except errors.BotoCoreError as error:
            raise invalid(f"{what}: {error}") from error


def _listed(entry: dict[str, Any]) -> ObjectInfo:
    status = entry.get("RestoreStatus", {})
    storage_class = entry.get("StorageClass", "STANDARD")
    state = state_of(
        storage_class,
        restoring=bool(status.get("IsRestoreInProgress")),
        restored="RestoreExpiryDate" in status,
    )
    return ObjectInfo(entry["Key"], entry["Size"], storage_class, state)


def _no_credentials() -> TaskError:
    return TaskError(
        MISSING_CREDENTIALS,
        "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
        "environment of the worker, or give its machine a role",
    )
