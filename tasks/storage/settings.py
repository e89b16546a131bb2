"""Storage settings: the environment of a worker, read here and nowhere else."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tasks.errors import TaskError
from tasks.storage.errors import INVALID_SETTINGS

PREFIX = "PENSTOCK_STORAGE_"


class StorageSettings(BaseSettings):
    """`PENSTOCK_STORAGE_*` of the environment.

    Attributes:
        endpoint: Used where a flow's endpoint is empty.
        bucket: Used where a flow's bucketName is empty.
        allow: What flows may name: endpoints, each alone (all its buckets) or followed by a
            bucket, in which `*` and `?` stand for any characters. A local folder allows every
            bucket in it. Separated by blanks or commas. Empty: nothing is allowed.
        restore_days: How long a restored copy stays readable.
        restore_tier: Speed of a restore in the store's word; "" is the store's default.
        local_thaw_s: How long a restore takes in a local folder.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    endpoint: str = ""
    bucket: str = ""
    allow: Annotated[tuple[str, ...], NoDecode] = ()
    restore_days: int = Field(default=1, ge=1, le=365)
    restore_tier: str = ""
    local_thaw_s: float = Field(default=2.0, ge=0)

    @field_validator("allow", mode="before")
    @classmethod
    def _split_allow(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[\s,]+", value) if part)
        return value

    @classmethod
    def from_environment(cls) -> StorageSettings:
        """The settings as the environment has them now.

        Raises:
            TaskError: `InvalidSettings`, naming the variable.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = PREFIX + str(first["loc"][0]).upper()
            raise TaskError(INVALID_SETTINGS, f"{name}: {first['msg']}") from error
