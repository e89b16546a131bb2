"""One task alone, for a worker that has nothing else of ours."""

from __future__ import annotations

import os
from typing import Any

from tasks import task


@task("elsewhere")
def elsewhere(input: dict[str, Any]) -> dict[str, Any]:
    return {"parent": os.getppid()}
