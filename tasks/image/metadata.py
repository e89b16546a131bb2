"""Metadata: what EXIF says of a picture, read and written without its pixels."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from typing import IO, Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tasks.image.thumbnails import without_thumbnail

ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
_MARK = b"Exif\x00\x00"
_SHORT = 3
_BROKEN = (struct.error, ValueError, TypeError, KeyError, IndexError, OSError, SyntaxError)
"""What Pillow raises for tags that are not as they should be."""

_TELLING = (0x010E, 0x010F, 0x0110, ORIENTATION, 0x0131, 0x0132, 0x013B, 0x8298)
"""Tags of a TIFF that tell of the picture, not of how its pixels are stored."""


def bare_exif(data: bytes) -> bytes:
    """EXIF without the `Exif` that JPEG puts in front of it."""
    return data.removeprefix(_MARK)


def marked_exif(data: bytes) -> bytes:
    """EXIF with it."""
    return _MARK + data


def orientation_of(exif: bytes) -> int:
    """The orientation, 1 to 8; 1 where there is none, or none that is right."""
    found = next((value for _, _, value in _orientations(exif)), 1)
    return found if 1 <= found <= 8 else 1


def with_orientation(exif: bytes, orientation: int) -> bytes:
    """The same EXIF with this orientation; a small new one where it had none."""
    for at, order, _ in _orientations(exif):
        return exif[:at] + struct.pack(f"{order}H", orientation) + exif[at + 2 :]
    return exif if exif or orientation == 1 else _small_exif(orientation)


def turned_exif(exif: bytes, orientation: int) -> bytes:
    """EXIF of a picture whose pixels were turned from that orientation to the upright one."""
    return with_orientation(without_thumbnail(exif) if orientation != 1 else exif, 1)


def told_by_tiff(file: IO[bytes]) -> bytes:
    """EXIF with what a TIFF says in its own tags; b"" if it says nothing."""
    found, kept = Image.Exif(), Image.Exif()
    file.seek(0)
    try:
        found.load_from_fp(file)
        for tag, value in _telling(found).items():
            kept[tag] = value
        return bare_exif(kept.tobytes()) if len(kept) else b""
    except _BROKEN:
        # Whether the file is broken too is for its decoder to say.
        return b""
    finally:
        file.seek(0)


def exif_tags(exif: bytes, log: logging.LoggerAdapter[Any]) -> dict[int, Any]:
    """EXIF as tags of a TIFF, that it can be written with; {} if it is none, said in the log."""
    found = Image.Exif()
    try:
        found.load(exif)
        told = _telling(found)
        trial = ImageFileDirectory_v2(prefix=b"II")
        for tag, value in told.items():
            trial[tag] = value
        trial.tobytes(0)
    except _BROKEN as error:
        log.warning("EXIF is left out, it is broken: %s", error)
        return {}
    return told


def _telling(exif: Image.Exif) -> dict[int, Any]:
    told = {tag: exif[tag] for tag in _TELLING if tag in exif}
    parts = {tag: exif.get_ifd(tag) for tag in (_EXIF_IFD, _GPS_IFD)}
    return told | {tag: part for tag, part in parts.items() if part}


def _small_exif(orientation: int) -> bytes:
    entry = struct.pack("<HHIHH", ORIENTATION, _SHORT, 1, orientation, 0)
    return b"II*\x00" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


def _orientations(exif: bytes) -> Iterator[tuple[int, str, int]]:
    """Where orientation's value lies, in which byte order, and what it is."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    if start + 2 > len(exif):
        return
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at)
        if tag == ORIENTATION and kind == _SHORT:
            yield at + 8, order, value
