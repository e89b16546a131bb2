"""The SDKs of the stores: loaded when a store that needs one is first opened."""

from __future__ import annotations

from typing import Any

from tasks.extras import load_extra

_WHO = "this endpoint"


def oss_sdk() -> Any:
    """The module `alibabacloud_oss_v2`. MissingExtra if it is not installed."""
    return load_extra("alibabacloud_oss_v2", "oss", _WHO)


def s3_sdk() -> tuple[Any, Any, Any]:
    """The modules `boto3`, `botocore.config`, `botocore.exceptions`. MissingExtra if not there."""
    return (
        load_extra("boto3", "s3", _WHO),
        load_extra("botocore.config", "s3", _WHO),
        load_extra("botocore.exceptions", "s3", _WHO),
    )


def s3_transfer() -> Any:
    """The module `boto3.s3.transfer`. MissingExtra if it is not installed."""
    return load_extra("boto3.s3.transfer", "s3", _WHO)
