"""libvips: decodes a file while its bytes still come, a band at a time.

The one place that loads pyvips. libvips must not be used before a process forks: its threads do
not survive that, so nothing here runs at import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import IO, Any, Literal

from tasks.chunk import BytesLike
from tasks.errors import MISSING_EXTRA, TaskError
from tasks.extras import load_extra
from tasks.image.errors import invalid_image, no_such_page, several_pages, unsupported
from tasks.image.feed import Feed
from tasks.image.formats import default_format
from tasks.image.header import Header
from tasks.image.jpeg_feed import JpegFeed, plain_parts
from tasks.image.metadata import (
    bare_exif,
    orientation_of,
    told_by_tiff,
    turned_exif,
    with_orientation,
)
from tasks.image.pictures import refuse_bomb
from tasks.image.pixels import DEEP
from tasks.image.pump import Pump

_MODES = {
    ("uchar", "b-w"): ("L", "LA"),
    ("uchar", "srgb"): ("", "", "RGB", "RGBA"),
    ("uchar", "cmyk"): ("", "", "", "CMYK"),
    ("ushort", "grey16"): ("L" + DEEP, "LA" + DEEP),
    ("ushort", "rgb16"): ("", "", "RGB" + DEEP, "RGBA" + DEEP),
    ("ushort", "cmyk"): ("", "", "", "CMYK" + DEEP),
}
_MM_PER_INCH = 25.4
_NO_PAGE = ("does not contain page", "bad page number")
_NO_LAB = "bad labq format"
_PNG_DENSITY = b"pHYs"
_START_BYTES = 64 * 1024
"""Where what a PNG says of itself is looked for."""


def vips() -> Any:
    """The module `pyvips`. MissingExtra if it, or the library under it, is not there."""
    try:
        module = load_extra("pyvips", "vips", "decoding by bands")
    except OSError as error:
        raise TaskError(MISSING_EXTRA, f"libvips cannot be loaded: {error}") from error
    # Else it keeps the last pictures that it decoded, some 60 MB for each, to give them out again.
    module.cache_set_max(0)
    return module


class VipsPicture:
    """A picture that libvips decodes.

    Args:
        source: Where libvips reads.
        format: What the file is.
        page: Which of several pictures in the file; None demands that there is but one.
        upright: Turns the picture as EXIF says; it is then decoded whole, beyond 100 MB into a
            temporary file.
        max_pixels: The limit of width times height.

    Raises:
        TaskError: `InvalidImage`, `ImageTooLarge`, `UnsupportedImage`.
    """

    def __init__(
        self, source: Any, format: str, page: int | None, upright: bool, max_pixels: int
    ) -> None:
        self._error = vips().Error
        self._page = page
        with self._readable():
            image = vips().Image.new_from_source(source, "", **_options(format, page, upright))
            refuse_bomb(image.width, image.height, max_pixels)
            self.header = _header(image, format, page, upright)
            self._region = vips().Region.new(image.autorot() if upright else image)

    def rows(self, y: int, count: int) -> BytesLike:
        """The next rows, in memory of their own. InvalidImage if the file is broken there."""
        with self._readable():
            return memoryview(self._region.fetch(0, y, self.header.width, count))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise _refusal(error, self._page) from error


class FedPicture:
    """A picture whose bytes come from a feed while it is decoded; a context manager.

    libvips reads them from a descriptor. If it called Python for every 4 KB it would wait for
    Python's lock 6,500 times in a photo of 26 MB, while other stages hold that.

    Attributes:
        mended: See JpegFeed; known before any row is decoded.

    Raises:
        TaskError: As VipsPicture; and whatever the feed raises. `InvalidImage` at the end of the
            block too, if data was left that should have been pixels.
    """

    def __init__(
        self, feed: Feed, format: str, page: int | None, upright: bool, max_pixels: int
    ) -> None:
        start = feed.peek(_START_BYTES) if format == "png" else b""
        self._jpeg = JpegFeed(feed) if format == "jpeg" else None
        self._pump = Pump(self._jpeg.parts() if self._jpeg else plain_parts(feed))
        self._end = 0
        with ExitStack() as failed:
            failed.callback(self._pump.close)
            with self._fed():
                source = vips().Source.new_from_descriptor(self._pump.descriptor)
                self._picture = VipsPicture(source, format, page, upright, max_pixels)
            failed.pop_all()
        self.header = self._picture.header
        if format == "png" and _PNG_DENSITY not in start:
            # libvips says 72 dots per inch of such a file.
            self.header = replace(self.header, dpi=None)

    @property
    def mended(self) -> str:
        """See the class."""
        return self._jpeg.mended if self._jpeg else ""

    def __enter__(self) -> FedPicture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and self._jpeg and self._end == self.header.height:
                self._refuse_left_over(self._jpeg)
        finally:
            self._pump.close()
        if error is None:
            self._pump.join()

    def rows(self, y: int, count: int) -> BytesLike:
        """The next rows; raises what the feed raised, rather than what libvips made of it."""
        with self._fed():
            self._end = y + count
            return self._picture.rows(y, count)

    def _refuse_left_over(self, jpeg: JpegFeed) -> None:
        taken = self._pump.taken()
        if jpeg.needed_at is not None and taken <= jpeg.needed_at:
            raise invalid_image(
                "the picture is damaged: all of its pixels were decoded, and data was left over"
            )

    @contextmanager
    def _fed(self) -> Iterator[None]:
        try:
            yield
        except TaskError:
            self._pump.check()
            raise


def spooled_picture(
    file: IO[bytes], format: str, page: int | None, upright: bool, max_pixels: int
) -> VipsPicture:
    """A picture in a file, for formats that are not stored from top to bottom."""
    exif = told_by_tiff(file) if format == "tiff" else b""
    # libvips reads past Python's buffer.
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    source = vips().Source.new_from_descriptor(file.fileno())
    picture = VipsPicture(source, format, page, upright, max_pixels)
    if exif:
        header = picture.header
        picture.header = replace(header, exif=with_orientation(exif, header.orientation))
    return picture


def deep_png_pixels(data: bytes) -> bytes:
    """The samples of a small PNG of 16 bits, the low byte first."""
    return bytes(vips().Image.new_from_buffer(data, "").write_to_memory())


def _options(format: str, page: int | None, upright: bool) -> dict[str, Any]:
    # A JPEG with a damaged middle decodes to garbage with no more than a warning.
    fail_on: Literal["warning", "error"] = "warning" if format == "jpeg" else "error"
    paged = {"page": page} if page is not None and format in ("tiff", "webp") else {}
    return {"access": "random" if upright else "sequential", "fail_on": fail_on, **paged}


def _header(image: Any, format: str, page: int | None, upright: bool) -> Header:
    told = set(image.get_fields())
    pages = image.get("n-pages") if "n-pages" in told else 1
    if pages > 1 and page is None:
        raise several_pages(pages)
    if page and page >= pages:
        raise no_such_page(page)
    exif = bare_exif(image.get("exif-data")) if "exif-data" in told else b""
    orientation = _orientation(image, told, exif)
    turned = upright and orientation >= 5
    mode = _mode(image)
    return Header(
        width=image.height if turned else image.width,
        height=image.width if turned else image.height,
        mode=mode,
        format=default_format(format, mode),
        orientation=1 if upright else orientation,
        dpi=_dpi(image, turned),
        icc=image.get("icc-profile-data") if "icc-profile-data" in told else b"",
        exif=turned_exif(exif, orientation) if upright else with_orientation(exif, orientation),
    )


def _mode(image: Any) -> str:
    modes = _MODES.get((image.format, image.interpretation), ())
    mode = modes[image.bands - 1] if image.bands <= len(modes) else ""
    if not mode:
        raise unsupported(
            f"pixels of {image.bands} x {image.format} ({image.interpretation}) are none of L, LA, "
            "RGB, RGBA (8 or 16 bits) and CMYK: convert the picture first"
        )
    return str(mode)


def _orientation(image: Any, told: set[str], exif: bytes) -> int:
    if exif or "orientation" not in told:
        return orientation_of(exif)
    found = int(image.get("orientation"))
    return found if 1 <= found <= 8 else 1


def _dpi(image: Any, turned: bool) -> tuple[float, float] | None:
    # One pixel a millimetre is what libvips says of files that say nothing.
    if image.xres == image.yres == 1:
        return None
    across, down = (round(res * _MM_PER_INCH, 3) for res in (image.xres, image.yres))
    return (down, across) if turned else (across, down)


def _refusal(error: Exception, page: int | None) -> TaskError:
    said = str(error)
    if page and any(words in said for words in _NO_PAGE):
        return no_such_page(page)
    if _NO_LAB in said:
        return unsupported("pixels of CIELAB cannot be read: convert the picture to RGB first")
    return invalid_image(f"the picture cannot be decoded: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The library's last words, without which of its functions spoke."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("unable to")]
    return said[0] if said else "it is incomplete, or not made as its format demands"
