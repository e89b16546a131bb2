"""bytes:sha256: tells the digest of a stream."""

from __future__ import annotations

import hashlib
from typing import Any

from tasks.context import TaskContext
from tasks.registry import task


@task("bytes:sha256", stream=True)
def sha256(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Passes every chunk on as it is, headers too.

    Returns:
        `sha256` of all bytes in hexadecimal, and their number, `bytes`.
    """
    digest, count = hashlib.sha256(), 0
    for chunk in ctx.read():
        digest.update(chunk)
        count += len(chunk)
        ctx.write(chunk, chunk.headers)
    return {"sha256": digest.hexdigest(), "bytes": count}
