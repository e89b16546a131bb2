"""A JPEG file out of pieces: one header, then the pieces' rows of blocks one after another."""

from __future__ import annotations

import logging
from typing import Any

from tasks.image.bands import Band
from tasks.image.errors import invalid_bands
from tasks.image.header import Header
from tasks.image.jpeg_pieces import block_rows, continued, parts_of
from tasks.image.metadata import marked_exif

_ICC = b"ICC_PROFILE\x00"
_MOST = 65533
"""Bytes that one segment can hold, its length not counted."""

_ICC_PART = _MOST - len(_ICC) - 2
_MOST_ICC_PARTS = 255
"""A segment tells its number and how many there are in one byte each."""


class JpegFile:
    """Writes one JPEG.

    Args:
        header: Of the picture.
        log: Is told what the file cannot hold.
    """

    def __init__(self, header: Header, log: logging.LoggerAdapter[Any]) -> None:
        exif = marked_exif(header.exif) if header.exif else b""
        if len(exif) > _MOST:
            log.warning("EXIF of %d bytes is left out: JPEG can hold %d", len(exif), _MOST)
            exif = b""
        parts = -(-len(header.icc) // _ICC_PART)
        if parts > _MOST_ICC_PARTS:
            log.warning(
                "the colour profile of %d bytes is left out: JPEG can hold %d",
                len(header.icc),
                _ICC_PART * _MOST_ICC_PARTS,
            )
            parts = 0
        self._header = header
        self._exif = exif
        self._icc_parts = parts
        self._head = b""

    def add(self, piece: Band) -> bytes:
        """The bytes of the file that the next piece makes, the header in front of the first."""
        parts = parts_of(bytes(piece.data))
        # Every piece says its own height; with the picture's instead, all must say the same.
        head = parts.with_height(self._header.height)
        data = continued(parts.entropy, piece.y // block_rows(piece))
        if not self._head:
            self._head = head
            return b"\xff\xd8" + self._metadata() + head + data
        if head != self._head:
            raise invalid_bands(
                f"the rows from {piece.y} were compressed with other settings than those above"
            )
        return data

    def end(self) -> bytes:
        """The last bytes."""
        return b"\xff\xd9"

    def _metadata(self) -> bytes:
        header = self._header
        found = _jfif(header.dpi)
        if self._exif:
            found += _segment(0xE1, self._exif)
        for number in range(self._icc_parts):
            part = header.icc[number * _ICC_PART : (number + 1) * _ICC_PART]
            found += _segment(0xE2, _ICC + bytes((number + 1, self._icc_parts)) + part)
        return found


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    across, down = (min(max(round(res), 1), 65535) for res in dpi or (1, 1))
    density = bytes((1 if dpi else 0,)) + across.to_bytes(2, "big") + down.to_bytes(2, "big")
    return _segment(0xE0, b"JFIF\x00\x01\x01" + density + b"\x00\x00")


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(data) + 2).to_bytes(2, "big") + data
