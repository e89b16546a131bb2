"""The SDKs of optional extras: imported here, when a store that needs one is first opened."""

from __future__ import annotations

import importlib
from typing import Any

from tasks.errors import TaskError
from tasks.storage.errors import MISSING_EXTRA


def oss_sdk() -> Any:
    """The module `alibabacloud_oss_v2`. MissingExtra if it is not installed."""
    return _load("alibabacloud_oss_v2", "oss")


def s3_sdk() -> tuple[Any, Any, Any]:
    """The modules `boto3`, `botocore.config`, `botocore.exceptions`. MissingExtra if not there."""
    return _load("boto3", "s3"), _load("botocore.config", "s3"), _load("botocore.exceptions", "s3")


def _load(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise TaskError(
            MISSING_EXTRA,
            f"this endpoint needs the extra {extra!r}: pip install 'penstock[{extra}]'",
        ) from error
