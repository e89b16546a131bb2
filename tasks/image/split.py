"""image:split: a picture's file becomes bands of raw pixels."""

from __future__ import annotations

from typing import Any

from tasks.context import TaskContext
from tasks.image.feed import Feed
from tasks.image.inputs import SplitInput
from tasks.image.opening import opened
from tasks.image.pictures import bands_of
from tasks.registry import task


@task("image:split", stream=True)
def split(input: SplitInput, ctx: TaskContext) -> dict[str, Any]:
    """Reads a JPEG, PNG, TIFF, WebP or BMP and writes its header and its bands, from the top.

    Returns:
        `width`, `height`, `mode`, `orientation`, and the `format` that is made of it by default.

    Raises:
        TaskError: `InvalidImage`, the bytes are no picture, or a broken or incomplete one;
            `ImageTooLarge`; `UnsupportedImage`.
    """
    feed = Feed(ctx.read())
    with opened(feed, input, ctx.log) as picture:
        header = picture.header
        ctx.write(header.payload(), header.headers())
        for band in bands_of(picture):
            ctx.write(band.data, band.headers())
    feed.drain()
    return {
        "width": header.width,
        "height": header.height,
        "mode": header.mode,
        "orientation": header.orientation,
        "format": header.format,
    }
