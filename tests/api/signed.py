"""Requests of the service's own protocol, signed as its clients do it."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

from engine.api.signing import signature


def signed(key: str = "admin-key", secret: str = "admin-secret", **changes: str) -> dict[str, str]:
    """The query of a signed GET; `changes` go before what it would have."""
    now = datetime.fromtimestamp(time.time(), UTC)
    fields = {
        "Action": "ListFlows",
        "Version": "2019-03-15",
        "Format": "JSON",
        "AccessKeyId": key,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    } | changes
    return fields | {"Signature": signature(secret, "GET", fields.items())}
