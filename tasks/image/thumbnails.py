"""Thumbnails: the small picture in a file's EXIF, which must not outlive the large one's pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
_ENTRY = 12
_SIZES = {3: "H", 4: "I"}
_PLACES = {0x0201: 0x0202, 0x0111: 0x0117}
"""Tags that tell where a thumbnail's bytes are, and the ones that tell how many: JPEG, or raw."""


def without_thumbnail(exif: bytes) -> bytes:
    """The same EXIF, its thumbnail and all that is told of it overwritten with zeros.

    Nothing else is moved: a camera's own notes may point at places in it.
    """
    order = _ORDERS.get(exif[:4])
    try:
        return exif if order is None else _cleared(exif, order)
    except struct.error:  # it is broken, and ends before what it announces
        return exif


def _cleared(exif: bytes, order: str) -> bytes:
    (main,) = struct.unpack_from(f"{order}I", exif, 4)
    link = _end(exif, order, main)
    (small,) = struct.unpack_from(f"{order}I", exif, link)
    if not small:
        return exif
    found = bytearray(exif)
    found[link : link + 4] = bytes(4)
    ranges = [*_pixels(exif, order, small), (small, _end(exif, order, small) + 4)]
    for start, end in ranges:
        # Whatever a broken directory claims, the main one is kept.
        if end <= main or start >= link + 4:
            found[start:end] = bytes(len(found[start:end]))
    return bytes(found)


def _end(exif: bytes, order: str, directory: int) -> int:
    """Where the directory's entries end, and the place of the next one is told."""
    (count,) = struct.unpack_from(f"{order}H", exif, directory)
    return int(directory + 2 + _ENTRY * count)


def _pixels(exif: bytes, order: str, directory: int) -> Iterator[tuple[int, int]]:
    told: dict[int, int] = {}
    for at in range(directory + 2, _end(exif, order, directory), _ENTRY):
        tag, kind, count = struct.unpack_from(f"{order}HHI", exif, at)
        # Several numbers are not here but elsewhere.
        if kind in _SIZES and count == 1:
            (told[tag],) = struct.unpack_from(f"{order}{_SIZES[kind]}", exif, at + 8)
    for place, size in _PLACES.items():
        if place in told and size in told:
            yield told[place], told[place] + told[size]
