"""What the restore tasks take as input; an empty string or null stands for the default."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from tasks.storage import OpenBucket, open_bucket

MAX_WORKERS = 100


class BucketInput(BaseModel):
    """What all three tasks take: where the objects are, and how many threads may ask for them.

    Keys that a task does not know are left alone: the flows hand over all they have.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    endpoint: str = ""
    bucket_name: str = ""
    workers: int = Field(default=10, ge=1, le=MAX_WORKERS)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value not in ("", None)}
        return values

    def open(self) -> OpenBucket:
        """The bucket that is named. Errors: see `tasks.storage.open_bucket`."""
        return open_bucket(self.endpoint, self.bucket_name)


class ListInput(BucketInput):
    """Input of listArchiveFiles. `max_keys` objects a page, `group_size` keys a group.

    `poll_interval` (seconds) is only handed on.
    """

    prefix: str = ""
    marker: str = ""
    max_keys: int = Field(default=100, ge=1, le=1000)
    group_size: int = Field(default=1, ge=1)
    poll_interval: float = Field(default=10, ge=0)


class RestoreInput(BucketInput):
    """Input of restore: one group of keys. Zero days and an empty tier: as the settings say."""

    files: tuple[str, ...]
    restore_days: int = Field(default=0, ge=0, le=365)
    restore_tier: str = ""

    @field_validator("files", mode="before")
    @classmethod
    def _one_is_a_group(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class StatusInput(BucketInput):
    """Input of restoreStatus: every group of the listing."""

    files_group: tuple[tuple[str, ...], ...]

    @field_validator("files_group", mode="before")
    @classmethod
    def _one_is_a_group(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [(group,) if isinstance(group, str) else group for group in value]
        return value
