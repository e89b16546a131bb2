"""listArchiveFiles: one page of a bucket's archived objects, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.oss.inputs import ListInput
from tasks.registry import task


@task("listArchiveFiles", stateless=True)
@task("oss:listArchiveFiles", stateless=True)
def list_archive_files(input: ListInput) -> dict[str, Any]:
    """The archived ones of the next `maxKeys` objects.

    Returns:
        `filesGroup`: lists of `groupSize` keys. `marker`: where the next page begins.
        `end`: "true" when there is no next page. `empty`: "true" when this page has no archived
        object, which says nothing of the next one. Both are text, as flows compare them with
        text. Also `bucketName`, `archiveFilesCount` and `pollInterval`, defaults filled in.
    """
    bucket = input.open()
    page = bucket.store.list_page(bucket.name, input.prefix, input.marker, input.max_keys)
    keys = [info.key for info in page.objects if info.archived]
    return {
        "bucketName": bucket.name,
        "filesGroup": _groups(keys, input.group_size),
        "marker": page.next_marker,
        "end": _text(page.end),
        "empty": _text(not keys),
        "archiveFilesCount": len(keys),
        "pollInterval": input.poll_interval,
    }


def _groups(keys: Sequence[str], size: int) -> list[list[str]]:
    return [list(keys[start : start + size]) for start in range(0, len(keys), size)]


def _text(value: bool) -> str:
    return "true" if value else "false"
