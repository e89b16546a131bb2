"""Opening: the decoder for the file that comes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import LoggerAdapter
from typing import Any

from tasks.errors import MISSING_EXTRA, TaskError
from tasks.image.feed import Feed
from tasks.image.formats import START_BYTES, format_of
from tasks.image.inputs import SplitInput
from tasks.image.pictures import Picture
from tasks.image.settings import ImageSettings
from tasks.image.vips import FedPicture, spooled_picture, vips
from tasks.image.whole import WholePicture

_FROM_TOP_TO_BOTTOM = ("jpeg", "png")
_ONLY_PILLOW = ("bmp",)
_MOST_BYTES_PER_PIXEL = 8


@contextmanager
def opened(feed: Feed, input: SplitInput, log: LoggerAdapter[Any]) -> Iterator[Picture]:
    """The picture that the feed brings; its file is gone at the end of the block.

    JPEG and PNG are decoded while they come. TIFF, WebP and BMP are stored in another order:
    they are taken whole into a temporary file first.

    Raises:
        TaskError: `InvalidImage`, `ImageTooLarge`, `UnsupportedImage`, `InvalidSettings`; and
            whatever the feed raises.
    """
    settings = ImageSettings.from_environment()
    format = format_of(feed.peek(START_BYTES))
    how = (format, input.page, input.orientation == "apply", settings.max_pixels)
    by_bands = format not in _ONLY_PILLOW and _has_vips()
    if by_bands and format in _FROM_TOP_TO_BOTTOM:
        with FedPicture(feed, *how) as picture:
            if picture.mended:
                log.warning("the picture's header was set right: %s", picture.mended)
            yield picture
        return
    with feed.spooled(settings.max_pixels * _MOST_BYTES_PER_PIXEL) as file:
        if by_bands:
            yield spooled_picture(file, *how)
        else:
            log.warning("%s is decoded whole, by Pillow: it needs memory for all pixels", format)
            yield WholePicture(file, *how)


def _has_vips() -> bool:
    try:
        vips()
    except TaskError as error:
        if error.code != MISSING_EXTRA:
            raise
        return False
    return True
