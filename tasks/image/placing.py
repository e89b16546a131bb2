"""Placing: where marks lie in a picture as it is stored, for eyes that see it upright."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from tasks.image.inputs import Position

Size = tuple[int, int]

# What undoes each of EXIF's orientations.
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_SIDEWAYS = 5
"""From this orientation on, a stored row is a column to see."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the upper left corners of a mark lie: one, or a grid that covers everything.

    Attributes:
        x: Of one of them, as stored.
        y: Of it.
        across: To the next one of its row; 0 if there is only this one.
        down: To the next row of them; 0 if there is only this one.
    """

    x: int
    y: int
    across: int = 0
    down: int = 0

    def meeting(self, mark: Size, width: int, y: int, end: int) -> Iterator[tuple[int, int]]:
        """The corners of the marks that have pixels in the rows from `y` to before `end`."""
        for top in _covering(self.y, self.down, mark[1], y, end):
            for left in _covering(self.x, self.across, mark[0], 0, width):
                yield left, top


def upright_size(width: int, height: int, orientation: int) -> Size:
    """The size of a picture as it is looked at."""
    return (height, width) if orientation >= _SIDEWAYS else (width, height)


def turned_back(image: Image.Image, orientation: int) -> Image.Image:
    """A mark as it must be stored, to be upright when the picture is looked at."""
    return image.transpose(_BACK[orientation]) if orientation in _BACK else image


def corner(position: Position, mark: Size, room: Size, margin: int) -> tuple[int, int]:
    """The upper left corner of a mark in an upright picture; of the first one for tiles."""
    x = _along(position, ("left", "right"), mark[0], room[0], margin)
    y = _along(position, ("top", "bottom"), mark[1], room[1], margin)
    return x, y


def stored(at: tuple[int, int], mark: Size, room: Size, orientation: int) -> tuple[int, int]:
    """The upper left corner, as stored, of a mark of which all is given upright."""
    (x, y), (width, height) = at, mark
    right, bottom = room[0] - x - width, room[1] - y - height
    return {
        2: (right, y),
        3: (right, bottom),
        4: (x, bottom),
        5: (y, x),
        6: (y, right),
        7: (bottom, right),
        8: (bottom, x),
    }.get(orientation, (x, y))


def _along(position: Position, ends: tuple[str, str], mark: int, room: int, margin: int) -> int:
    words = position.split("-")
    if ends[0] in words or position == "tile":
        return margin
    return room - margin - mark if ends[1] in words else (room - mark) // 2


def _covering(first: int, step: int, length: int, start: int, end: int) -> Iterator[int]:
    if not step:
        if first < end and first + length > start:
            yield first
        return
    at = start - (start - first) % step
    while at + length > start:
        at -= step
    yield from range(at + step, end, step)
