"""Marks: what a watermark draws on one picture, and where."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from tasks.errors import INVALID_ARGUMENT, TaskError
from tasks.image.errors import invalid_watermark
from tasks.image.header import Header
from tasks.image.inputs import WatermarkInput
from tasks.image.lettering import decoded, lettered, refuse_huge
from tasks.image.pillow_files import pillow_file
from tasks.image.placing import Places, corner, stored, turned_back, upright_size

_OVERLAYS = ("PNG", "JPEG", "WEBP")
_MARGIN_PART, _GAP_PART = 50, 12
"""Of the shorter side: the distance to an edge, and between tiles, where none is given."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A small picture and its places in a large one.

    Attributes:
        image: In RGBA, turned as the large picture is stored.
        places: Where it is drawn, as stored.
        width: Of the large picture, as stored.
    """

    image: Image.Image
    places: Places
    width: int

    def corners(self, y: int, end: int) -> list[tuple[int, int]]:
        """The upper left corners of what is to be seen in the rows from `y` to before `end`."""
        return list(self.places.meeting(self.image.size, self.width, y, end))


def mark_for(input: WatermarkInput, header: Header) -> Mark | None:
    """The mark for a picture; None if the input wants none.

    A mark is never clipped, but for tiles at the edges.

    Raises:
        TaskError: `InvalidWatermark`, it is larger than the picture, or cannot be made;
            `FC.InvalidArgument`, the input has both a text and an overlay.
    """
    if input.text and input.image:
        raise TaskError(INVALID_ARGUMENT, "image:watermark draws a text or an image, not both")
    if not (input.text or input.image):
        return None
    room = upright_size(header.width, header.height, header.orientation)
    tiled = input.position == "tile"
    margin = input.margin
    if margin is None:
        margin = min(room) // (_GAP_PART if tiled else _MARGIN_PART)
    upright = _upright(input, room, margin)
    margin = _fitting_margin(input, upright.size, room, margin)
    at = corner(input.position, upright.size, room, margin)
    image = turned_back(_faded(upright, input.opacity), header.orientation)
    x, y = stored(at, upright.size, room, header.orientation)
    across, down = (side + margin if tiled else 0 for side in image.size)
    return Mark(image, Places(x, y, across, down), header.width)


def _upright(input: WatermarkInput, room: tuple[int, int], margin: int) -> Image.Image:
    if input.image:
        return _overlay(input.image)
    inside = (max(room[0] - 2 * margin, 1), max(room[1] - 2 * margin, 1))
    return lettered(input, inside)


def _overlay(text: str) -> Image.Image:
    data = decoded(text, "image")
    try:
        image = pillow_file(io.BytesIO(data), _OVERLAYS)
        refuse_huge(image.size)
        return image.convert("RGBA")
    except Image.DecompressionBombError as error:
        raise invalid_watermark("image is too large for a mark") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise invalid_watermark(f"image is no PNG, JPEG or WebP: {error}") from error


def _fitting_margin(
    input: WatermarkInput, mark: tuple[int, int], room: tuple[int, int], margin: int
) -> int:
    spare = min(room[0] - mark[0], room[1] - mark[1])
    if input.margin is None:
        fits = spare >= 0
        margin = margin if input.position == "tile" else min(margin, max(spare, 0))
    else:
        # Of tiles, the first one at least is whole.
        fits = spare >= margin or input.position == "center" and spare >= 0
    if not fits:
        spaced = f" with a margin of {input.margin}" if input.margin else ""
        raise invalid_watermark(
            f"a mark of {mark[0]} x {mark[1]} pixels{spaced} does not fit on a picture of "
            f"{room[0]} x {room[1]}: make font_size, image or margin smaller, or leave them out"
        )
    return margin


def _faded(image: Image.Image, opacity: float) -> Image.Image:
    faded = image.copy()
    faded.putalpha(image.getchannel("A").point([round(level * opacity) for level in range(256)]))
    return faded
