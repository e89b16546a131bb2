"""Pages of Flower: the configuration file with which it names the console of each execution.

Flower runs this file (`FLOWER_CONF`) and takes `format_task` from it.
"""

from __future__ import annotations

import ast
import os
from typing import Any
from urllib.parse import quote

FIELD = "console"
"""What the row is called on the page of a task."""


def format_task(task: Any) -> Any:
    """Adds the address of the execution's page in the console; `task` is Flower's own copy."""
    address = console_address(os.environ.get("PENSTOCK_API_PUBLIC_URL", ""), task.kwargs)
    if address:
        task.console = address
        task._fields = (*task._fields, FIELD)
    return task


def console_address(api_url: str, kwargs: str | None) -> str:
    """Where the console shows the execution that a message's arguments name; "": they name none."""
    if not api_url or not kwargs:
        return ""
    try:
        pointer = ast.literal_eval(kwargs)
    except (SyntaxError, ValueError):
        return ""  # another program's task on the same broker, or arguments that were cut off
    match pointer:
        case {"flow": str(flow), "execution": str(execution)}:
            place = f"{quote(flow, safe='')}/{quote(execution, safe='')}"
            return f"{api_url.rstrip('/')}/console/executions/{place}"
        case _:
            return ""
