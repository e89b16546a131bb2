"""Seeking: finds given keys in a bucket's listing, jumping over what lies between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.storage import ObjectInfo, OpenBucket

_SURROGATES = range(0xD800, 0xE000)


def seek(bucket: OpenBucket, keys: Sequence[str]) -> Iterator[dict[str, ObjectInfo]]:
    """The infos of `keys` (sorted) page by page; a key that is not in the bucket is left out.

    Each page begins at a wanted key, so there are never more pages than keys.
    """
    wanted, done = frozenset(keys), 0
    marker = ""
    while done < len(keys):
        marker = max(marker, just_before(keys[done]))
        page = bucket.store.list_page(bucket.name, _common_prefix(keys), marker)
        yield {info.key: info for info in page.objects if info.key in wanted}
        if page.end:
            return
        marker = page.next_marker
        while done < len(keys) and keys[done] <= marker:
            done += 1


def just_before(key: str) -> str:
    """A text that sorts before `key`, with hardly room for another key between the two.

    Listings begin after their marker, so this is the marker that makes `key` the first one.
    """
    last = ord(key[-1])
    if last == 0:
        return key[:-1]
    before = last - 1 if last - 1 not in _SURROGATES else _SURROGATES.start - 1
    return f"{key[:-1]}{chr(before)}~" if before else key[:-1]


def _common_prefix(keys: Sequence[str]) -> str:
    first, last = keys[0], keys[-1]
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]
