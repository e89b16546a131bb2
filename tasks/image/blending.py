"""Blending: a mark over planes of 16 bits, which Pillow cannot paste with a mask."""

from __future__ import annotations

from PIL import Image, ImageMath

Planes = list[Image.Image]
_WIDER = 257
"""What makes 65535 of 255."""


def blend_opaque(planes: Planes, ink: Planes, alpha: Image.Image, corner: tuple[int, int]) -> None:
    """Changes `planes`, of a picture without alpha, where the mark lies.

    Args:
        planes: The picture's channels, of mode I;16.
        ink: The mark's, of mode L.
        alpha: Where the mark is to be seen, 0 to 255.
        corner: Of the mark in the picture; it may reach beyond.
    """
    box = _box(corner, alpha.size)
    for plane, color in zip(planes, ink, strict=True):
        mixed = ImageMath.lambda_eval(
            lambda args: (
                (args["ink"] * _WIDER * args["a"] + args["old"] * (255 - args["a"]) + 127) / 255
            ),
            ink=color.convert("I"),
            a=alpha.convert("I"),
            old=plane.crop(box).convert("I"),
        )
        plane.paste(mixed.convert(plane.mode), box)


def blend_alpha(planes: Planes, ink: Planes, alpha: Image.Image, corner: tuple[int, int]) -> None:
    """The same where the last of `planes` is the picture's own alpha."""
    box = _box(corner, alpha.size)
    under = planes[-1].crop(box).convert("F")
    part = alpha.convert("F").point(lambda level: level * (1 / 255) + 0)
    both = ImageMath.lambda_eval(
        lambda args: args["a"] * 65535 + args["under"] * (1 - args["a"]), a=part, under=under
    )
    for plane, color in zip(planes, ink, strict=False):
        mixed = ImageMath.lambda_eval(
            lambda args: (
                (
                    args["ink"] * (_WIDER * 65535) * args["a"]
                    + args["old"] * args["under"] * (1 - args["a"])
                )
                / args["max"](args["both"], 1)
                + 0.5
            ),
            ink=color.convert("F"),
            a=part,
            old=plane.crop(box).convert("F"),
            under=under,
            both=both,
        )
        plane.paste(mixed.convert("I").convert(plane.mode), box)
    planes[-1].paste(both.point(lambda level: level * 1 + 0.5).convert("I").convert("I;16"), box)


def _box(corner: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    return (*corner, corner[0] + size[0], corner[1] + size[1])
