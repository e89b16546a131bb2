"""Drawing: lays a mark over the pixels of a raw band."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from tasks.image.bands import Band
from tasks.image.blending import blend_alpha, blend_opaque
from tasks.image.marks import Mark
from tasks.image.pixels import CHANNELS, image_of, is_deep, plain
from tasks.image.samples import planes_of, samples_of

Corner = tuple[int, int]


def drawn(band: Band, mark: Mark) -> Band:
    """The raw band with the marks that meet it."""
    if is_deep(band.mode):
        return replace(band, data=_drawn_deep(band, mark))
    image = image_of(band.mode, band.width, band.rows, band.data)
    return replace(band, data=painted(image, mark, band.y).tobytes())


def painted(image: Image.Image, mark: Mark, y: int) -> Image.Image:
    """Rows of a picture, from `y`, with the marks that meet them.

    Changes `image`, but no chunk whose memory it shares: Pillow copies that first.
    """
    corners = _corners(mark, y, image.height)
    if image.mode.endswith("A"):
        return _composite(image, mark.image, corners)
    inks: dict[int, tuple[Image.Image, Image.Image]] = {}
    for left, top in corners:
        if top not in inks:
            inks[top] = _ink(mark.image, top, image)
        ink, alpha = inks[top]
        image.paste(ink, (left, max(top, 0)), alpha)
    return image


def _ink(mark: Image.Image, top: int, image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The colours of a mark at `top` in an image, as far as it lies in it, and where it is seen."""
    part = mark.crop((0, max(-top, 0), mark.width, min(mark.height, image.height - top)))
    return part.convert("RGB").convert(image.mode), part.getchannel("A")


def _corners(mark: Mark, y: int, rows: int) -> list[Corner]:
    return [(left, top - y) for left, top in mark.corners(y, y + rows)]


def _composite(image: Image.Image, mark: Image.Image, corners: list[Corner]) -> Image.Image:
    """For pictures with an alpha of their own, which then counts too."""
    layer = Image.new("RGBA", image.size)
    # Marks of one picture never overlap, so that one layer holds them all.
    for corner in corners:
        layer.paste(mark, corner)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert(image.mode)


def _drawn_deep(band: Band, mark: Mark) -> bytes:
    mode = plain(band.mode)
    planes = planes_of(band.data, band.width, band.rows, CHANNELS[mode])
    ink = list(mark.image.convert("RGB").convert(mode.removesuffix("A")).split())
    alpha = mark.image.getchannel("A")
    blend = blend_alpha if mode.endswith("A") else blend_opaque
    for corner in _corners(mark, band.y, band.rows):
        blend(planes, ink, alpha, corner)
    return samples_of(planes)
