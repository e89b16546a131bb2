"""Writable: a text as a font can draw it, or the letters that it cannot."""

from __future__ import annotations

import unicodedata

from PIL import ImageFont

from tasks.image.errors import invalid_watermark

_NO_LETTER = "\uffff"
"""No font has it: what is drawn for it is drawn for everything that a font lacks."""

_LINES = {"\r\n": "\n", "\r": "\n", "\u2028": "\n", "\u2029": "\n", "\t": "    "}
_SELECTORS = range(0xFE00, 0xFE10)
_MOST_NAMED = 8


def writable(text: str, font: ImageFont.FreeTypeFont, named: str) -> str:
    """The text with what cannot be seen anyway left out where the font has no sign for it.

    Args:
        text: As it was given.
        font: In any size that shows its signs apart.
        named: What the font is called in an error.

    Raises:
        TaskError: `InvalidWatermark`, it has control characters, or letters that the font lacks,
            which would be drawn as boxes.
    """
    for written, meant in _LINES.items():
        text = text.replace(written, meant)
    # A letter and its accent may be one sign in the font.
    text = unicodedata.normalize("NFC", text)
    if controls := [sign for sign in _each(text) if unicodedata.category(sign) == "Cc"]:
        raise invalid_watermark(f"text has control characters: {_listed(controls)}")
    lacking = _lacking(text, font)
    text = text.translate({ord(sign): _instead(sign) for sign in lacking})
    if missing := [sign for sign in lacking if sign in text]:
        raise invalid_watermark(
            f"{named} has no sign for {_listed(missing)}: give a font file that has in font, or "
            "in PENSTOCK_IMAGE_FONT of the workers"
        )
    return text


def _each(text: str) -> list[str]:
    """Every sign once, in the order they come."""
    return list(dict.fromkeys(text.replace("\n", "").replace(" ", "")))


def _lacking(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    nothing = _drawn(_NO_LETTER, font)
    return [sign for sign in _each(text) if _drawn(sign, font) == nothing]


def _drawn(sign: str, font: ImageFont.FreeTypeFont) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(sign)
    return mask.size, bytes(mask)


def _instead(sign: str) -> str:
    """What stands for a sign that the font lacks: blanks are blank, the invisible is nothing."""
    category = unicodedata.category(sign)
    if category == "Zs":
        return " "
    return "" if category == "Cf" or ord(sign) in _SELECTORS else sign


def _listed(signs: list[str]) -> str:
    listed = ", ".join(
        f"U+{ord(sign):04X}" + (f" {sign}" if sign.isprintable() else "")
        for sign in signs[:_MOST_NAMED]
    )
    return f"{listed} and {len(signs) - _MOST_NAMED} more" if len(signs) > _MOST_NAMED else listed
