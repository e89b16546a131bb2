"""Tasks that workers of every version can load: they use what a task has always had."""

from __future__ import annotations

import threading
from typing import Any

from tasks import task


@task("shared")
def shared(input: dict[str, Any]) -> dict[str, Any]:
    """Takes so long that one worker does not do them all."""
    threading.Event().wait(0.05)
    return {"done": input["item"]}
