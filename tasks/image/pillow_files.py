"""Files that Pillow opens, without the limit of its own that it keeps for the whole process."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

from PIL import Image, ImageFile

_START_BYTES = 16
_NOT_AS_IT_SHOULD_BE = (SyntaxError, IndexError, TypeError, KeyError, EOFError, struct.error)
"""What Pillow's readers raise for a file that is not as its format demands."""


def pillow_file(file: IO[bytes], formats: Sequence[str]) -> ImageFile.ImageFile:
    """A picture of which the header was read, as `Image.open`, but of any size.

    `Image.open` refuses what is over `Image.MAX_IMAGE_PIXELS`, which other code of the process
    may count on: compare the size with a limit before any pixel is touched.

    Args:
        file: The file, at its start.
        formats: Those that it may have, as Pillow names them.

    Raises:
        OSError: It is none of them, or broken.
        Image.DecompressionBombError: Pillow has a limit inside of this format.
    """
    Image.init()
    start = file.read(_START_BYTES)
    for format in formats:
        read, accepts = Image.OPEN[format]
        # A text in place of True says why it cannot be done.
        if accepts is None or accepts(start) is True:
            file.seek(0)
            try:
                return read(file, "")
            except _NOT_AS_IT_SHOULD_BE as error:
                raise OSError("it is incomplete, or not made as its format demands") from error
    raise OSError("its first bytes are of no such file")
