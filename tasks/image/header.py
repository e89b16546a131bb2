"""The header: what the first chunk of a stream of bands says of the whole picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.chunk import Chunk
from tasks.image.errors import invalid_bands

KIND = "kind"
HEADER = "header"


@dataclass(frozen=True, slots=True)
class Header:
    """A picture without its pixels.

    Attributes:
        width: In pixels, as stored: EXIF's orientation is not applied.
        height: In rows, as stored.
        mode: How raw bands lie in memory, see `tasks.image.pixels`.
        format: The file to make of it, unless a stage is told otherwise: jpeg, png or tiff.
        orientation: EXIF's, 1 to 8: how a viewer turns what is stored.
        dpi: Pixels per inch, across and down; None where the file says nothing.
        icc: The colour profile; b"" without one.
        exif: EXIF as a TIFF structure, without the `Exif` in front; b"" without one.
    """

    width: int
    height: int
    mode: str
    format: str
    orientation: int = 1
    dpi: tuple[float, float] | None = None
    icc: bytes = b""
    exif: bytes = b""

    def payload(self) -> bytes:
        """The chunk's bytes: a line of JSON, the profile, the EXIF."""
        told = {
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "format": self.format,
            "orientation": self.orientation,
            "dpi": self.dpi,
            "icc": len(self.icc),
        }
        return json.dumps(told).encode() + b"\n" + self.icc + self.exif

    def headers(self) -> Mapping[str, str]:
        """The chunk's headers."""
        return {KIND: HEADER}

    @classmethod
    def of(cls, chunk: Chunk) -> Header:
        """The header that the chunk carries.

        Raises:
            TaskError: `InvalidBands`, it carries something else.
        """
        if chunk.headers.get(KIND) != HEADER:
            raise invalid_bands("no picture comes in: put image:split in front of this stage")
        line, _, rest = bytes(chunk).partition(b"\n")
        told = json.loads(line)
        icc = told.pop("icc")
        dpi = tuple(told.pop("dpi") or ()) or None
        return cls(**told, dpi=dpi, icc=rest[:icc], exif=rest[icc:])


def is_header(chunk: Chunk) -> bool:
    """True for the chunk that a header was written as."""
    return chunk.headers.get(KIND) == HEADER
