"""Warming: what the first picture would otherwise wait for."""

from __future__ import annotations

import io

from PIL import Image, ImageFont

from tasks.errors import MISSING_EXTRA, TaskError
from tasks.image.vips import vips


def warm() -> None:
    """Loads the decoder, the encoders and the font; again is cheap.

    Call it in the process that will run the tasks, after its fork: libvips starts threads.
    """
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    ImageFont.load_default(16)
    try:
        vips().Image.new_from_buffer(file.getvalue(), "").avg()
    except TaskError as error:
        if error.code != MISSING_EXTRA:
            raise
