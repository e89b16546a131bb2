"""Pillow: decodes a picture whole, where libvips is missing or does not know the format."""

from __future__ import annotations

from collections import deque
from typing import IO

from PIL import Image, ImageFile

from tasks.chunk import BytesLike
from tasks.image.errors import invalid_image, no_such_page, several_pages, too_large, unsupported
from tasks.image.feed import Feed
from tasks.image.formats import default_format
from tasks.image.header import Header
from tasks.image.jpeg_feed import JpegFeed
from tasks.image.metadata import (
    bare_exif,
    orientation_of,
    told_by_tiff,
    turned_exif,
    with_orientation,
)
from tasks.image.pictures import refuse_bomb
from tasks.image.pillow_files import pillow_file
from tasks.image.pixels import CHANNELS

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UNTOLD_DPI = (1, 1)
"""What Pillow says of a TIFF that tells nothing."""

_READ_BYTES = 1024 * 1024
_SAME_PIXELS = {"1": "L", "RGBX": "RGB"}


class WholePicture:
    """A picture that Pillow decodes at once: all of its pixels are in memory.

    Args:
        file: The file, at its start.
        format: What the file is.
        page: Which of several pictures in the file; None demands that there is but one.
        upright: Turns the picture as EXIF says.
        max_pixels: The limit of width times height.

    Raises:
        TaskError: `InvalidImage`, `ImageTooLarge`, `UnsupportedImage`.
    """

    def __init__(
        self, file: IO[bytes], format: str, page: int | None, upright: bool, max_pixels: int
    ) -> None:
        try:
            told = told_by_tiff(file) if format == "tiff" else b""
            if format == "jpeg":
                _refuse_open_end(file)
            image = pillow_file(file, [format.upper()])
            exif = told or bare_exif(image.info.get("exif", b""))
            # Pillow has turned the pixels of a TIFF by itself.
            orientation = 1 if format == "tiff" else orientation_of(exif)
            _choose(image, page)
            refuse_bomb(image.width, image.height, max_pixels)
            self._image = _pixels(image)
        except Image.DecompressionBombError as error:
            raise too_large(
                f"the {format} is too large for Pillow, which decodes it as libvips is missing: "
                "pip install 'penstock[vips]'"
            ) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise invalid_image(f"the picture cannot be decoded: {error}") from error
        if upright and orientation in _TURNS:
            self._image = self._image.transpose(_TURNS[orientation])
        if upright:
            exif, orientation = turned_exif(exif, orientation), 1
        self.header = _header(image, self._image, format, exif, orientation)

    def rows(self, y: int, count: int) -> BytesLike:
        """The next rows, in memory of their own."""
        return self._image.crop((0, y, self.header.width, y + count)).tobytes()


def _choose(image: Image.Image, page: int | None) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and page is None:
        raise several_pages(pages)
    if page and page >= pages:
        raise no_such_page(page)
    if page:
        image.seek(page)


def _refuse_open_end(file: IO[bytes]) -> None:
    """InvalidImage for a JPEG without its end, which Pillow would overlook."""
    jpeg = JpegFeed(Feed(iter(lambda: file.read(_READ_BYTES), b"")))
    deque(jpeg.parts(), maxlen=0)
    file.seek(0)
    if not jpeg.ended:
        raise invalid_image("the picture cannot be decoded: premature end of JPEG image")


def _pixels(image: Image.Image) -> Image.Image:
    """The picture decoded, in a mode that bands can have."""
    mode = _SAME_PIXELS.get(image.mode, image.mode)
    if image.mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    if mode not in CHANNELS or _loses_bits(image):
        raise unsupported(
            f"pixels of mode {image.mode}, or with 16 bits a sample, need libvips: "
            "pip install 'penstock[vips]'"
        )
    image.load()
    return image if mode == image.mode else image.convert(mode)


def _loses_bits(image: Image.Image) -> bool:
    """True for colours of 16 bits, of which Pillow would quietly drop eight."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return image.format in ("PNG", "TIFF") and any(";16" in str(tile.args) for tile in tiles)


def _header(
    file: Image.Image, image: Image.Image, format: str, exif: bytes, orientation: int
) -> Header:
    dpi = file.info.get("dpi")
    if dpi == _UNTOLD_DPI:
        dpi = None
    return Header(
        width=image.width,
        height=image.height,
        mode=image.mode,
        format=default_format(format, image.mode),
        orientation=orientation,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        icc=file.info.get("icc_profile") or b"",
        exif=with_orientation(exif, orientation),
    )
