"""The restore as the flows do it, by plain calls: list a page, restore its groups, watch it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tasks
from tasks import registry
from tasks.context import TaskContext
from tasks.errors import SERVER_ERROR, THROTTLED, TaskError
from tests.waiting import wait_until

tasks.shipped()


def call(name: str, input: dict[str, Any], ctx: TaskContext | None = None) -> dict[str, Any]:
    """Runs a registered task and gives its result."""
    found = registry.find([name])
    assert found is not None
    result = found.call(input, ctx)
    assert isinstance(result, dict)
    return result


def restore_all(input: dict[str, Any], tasks_at_once: int = 1) -> tuple[int, int]:
    """Restores everything as mainRestoreFlow does; the number of objects and of pages."""
    state, objects, pages = dict(input), 0, 0
    while True:
        state |= call("listArchiveFiles", state)
        pages += 1
        if state["empty"] == "false":
            objects += state["archiveFilesCount"]
            restore_page(state, tasks_at_once)
        if state["end"] == "true":
            return objects, pages


def restore_page(state: dict[str, Any], tasks_at_once: int = 1) -> None:
    """Restores one page as restoreFlow does."""
    with ThreadPoolExecutor(tasks_at_once) as pool:
        for _ in pool.map(lambda files: _with_retries(state | {"files": files}), _groups(state)):
            pass
    wait_until(lambda: _all_restored(state), timeout_s=30, every_s=0.1)


def _groups(state: dict[str, Any]) -> list[list[str]]:
    groups: list[list[str]] = state["filesGroup"]
    return groups


def _with_retries(input: dict[str, Any], attempts: int = 10) -> None:
    for attempt in range(1, attempts + 1):
        try:
            call("OSSRestoreService/restoreFunction", input, TaskContext(attempt=attempt))
        except TaskError as error:
            if error.code not in (THROTTLED, SERVER_ERROR) or attempt == attempts:
                raise
        else:
            return


def _all_restored(state: dict[str, Any]) -> bool:
    return bool(call("OSSRestoreService/restoreStatusFunction", state)["status"] == "success")
