"""Lettering: a watermark's text as a picture of one colour with an alpha channel."""

from __future__ import annotations

import base64
import binascii
import io

from PIL import Image, ImageColor, ImageDraw, ImageFont

from tasks.image.errors import invalid_watermark
from tasks.image.inputs import WatermarkInput
from tasks.image.settings import ImageSettings
from tasks.image.writable import writable

MAX_MARK_PIXELS = 32_000_000
_SMALLEST_FONT = 4.0
_PART_OF_SIDE = 20
_TRIAL_SIZE = 48.0
_OPAQUE = 255


def lettered(input: WatermarkInput, room: tuple[int, int]) -> Image.Image:
    """The text in RGBA, cut to its ink.

    Args:
        input: The text and how it looks.
        room: Width and height that it may take where it says no size of its own.

    Raises:
        TaskError: `InvalidWatermark`, the font is none or lacks a letter, the colour is none, the
            text has no ink, or is larger than any picture should be covered with.
    """
    text = writable(input.text, _font(input, _TRIAL_SIZE), _named_font(input))
    input = input.model_copy(update={"text": text})
    font = _fitting_font(input, room)
    left, top, right, bottom = _outline(input.text, font)
    size = (max(right - left, 1), max(bottom - top, 1))
    refuse_huge(size)
    alpha = Image.new("L", size)
    draw = ImageDraw.Draw(alpha)
    draw.multiline_text((-left, -top), input.text, fill=_OPAQUE, font=font)
    if (ink := alpha.getbbox()) is None:
        raise invalid_watermark("the text has nothing that can be drawn")
    alpha = alpha.crop(ink)
    *color, opacity = _color(input.color)
    letters = Image.new("RGB", alpha.size, tuple(color))
    letters.putalpha(alpha.point([level * opacity // _OPAQUE for level in range(256)]))
    return letters


def refuse_huge(size: tuple[int, int]) -> None:
    """InvalidWatermark if a mark of that size should not even be drawn."""
    if size[0] * size[1] > MAX_MARK_PIXELS:
        raise invalid_watermark(f"a mark of {size[0]} x {size[1]} pixels is too large")


def decoded(text: str, what: str) -> bytes:
    """Bytes from base64. InvalidWatermark if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_watermark(f"{what} is no base64: {error}") from error


def _fitting_font(input: WatermarkInput, room: tuple[int, int]) -> ImageFont.FreeTypeFont:
    if input.font_size is not None:
        return _font(input, input.font_size)
    size = max(_SMALLEST_FONT, min(room) / _PART_OF_SIDE)
    left, top, right, bottom = _outline(input.text, _font(input, size))
    over = max((right - left) / room[0], (bottom - top) / room[1], 1.0)
    return _font(input, max(_SMALLEST_FONT, int(size / over))) if over > 1 else _font(input, size)


def _font(input: WatermarkInput, size: float) -> ImageFont.FreeTypeFont:
    path = ImageSettings.from_environment().font
    try:
        if input.font:
            return ImageFont.truetype(io.BytesIO(decoded(input.font, "font")), size)
        if path:
            return ImageFont.truetype(path, size)
    except OSError as error:
        raise invalid_watermark(f"{_named_font(input)} cannot be used: {error}") from error
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise invalid_watermark("this Pillow was built without FreeType: it cannot draw text")
    return font


def _named_font(input: WatermarkInput) -> str:
    if input.font:
        return "font"
    path = ImageSettings.from_environment().font
    return f"PENSTOCK_IMAGE_FONT ({path})" if path else "the built-in font"


def _outline(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int, int, int]:
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
    return int(left // 1), int(top // 1), int(-(-right // 1)), int(-(-bottom // 1))


def _color(name: str) -> tuple[int, ...]:
    try:
        color = ImageColor.getcolor(name, "RGBA")
    except ValueError as error:
        raise invalid_watermark(f"color: {error}") from error
    return color if isinstance(color, tuple) else (color,) * 3 + (_OPAQUE,)
