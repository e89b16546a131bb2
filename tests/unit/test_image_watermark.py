"""A watermark lies where it should, for eyes that see the picture upright."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from array import array
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageFont, ImageOps

from tasks.chunk import Chunk
from tasks.errors import TaskError
from tasks.trying import run_stream
from tests.image_samples import (
    ALL,
    chain,
    deep_pixels,
    deep_png,
    difference,
    file_of,
    photo,
    pixels,
)

WIDTH, HEIGHT, MARGIN = 603, 403, 20
GREY = Image.new("RGB", (WIDTH, HEIGHT), (100, 100, 100))
POSITIONS = {
    "top-left": ("start", "start"),
    "top": ("middle", "start"),
    "top-right": ("end", "start"),
    "left": ("start", "middle"),
    "center": ("middle", "middle"),
    "right": ("end", "middle"),
    "bottom-left": ("start", "end"),
    "bottom": ("middle", "end"),
    "bottom-right": ("end", "end"),
}
HUGE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(
    ">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0
)
HUGE += struct.pack(">I", zlib.crc32(HUGE[12:])) + bytes(4) + b"IDAT" + bytes(4)
"""The start of a PNG of 400 million pixels."""

RED = Image.new("RGBA", (40, 30), (255, 0, 0, 255))


def _changed(found: bytes, before: Image.Image) -> tuple[int, int, int, int]:
    """The box of what differs."""
    box = ImageChops.difference(pixels(found).convert("RGB"), before).getbbox()
    assert box is not None, "nothing was drawn"
    return box


def _overlay(image: Image.Image) -> str:
    return base64.b64encode(file_of(image, "PNG")).decode()


def _refusal(input: dict[str, Any], image: Image.Image = GREY) -> TaskError:
    with pytest.raises(TaskError) as refused:
        chain(file_of(image, "PNG"), input)
    return refused.value


@pytest.mark.parametrize("position", POSITIONS)
def test_the_mark_keeps_the_margin_to_the_edges_it_is_at(position: str) -> None:
    input = {"text": "Hxgf", "margin": MARGIN, "position": position, "opacity": 1}
    left, top, right, bottom = _changed(chain(file_of(GREY, "PNG"), input)[0], GREY)
    across, down = POSITIONS[position]
    for where, near, far in ((across, left, WIDTH - right), (down, top, HEIGHT - bottom)):
        if where == "middle":
            assert abs(near - far) <= 2
        else:
            # Ink may begin a pixel further in: there its edge is too faint to count.
            assert 0 <= (near if where == "start" else far) - MARGIN <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("position", ["top-left", "right", "bottom-right", "tile"])
def test_a_turned_picture_is_marked_as_it_is_looked_at(position: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    input = {"text": "Up", "font_size": 40, "position": position, "opacity": 1}
    stored = photo("RGB", WIDTH, HEIGHT)
    found, _ = chain(file_of(stored, "PNG", exif=exif), input)
    upright = ImageOps.exif_transpose(pixels(file_of(stored, "PNG", exif=exif)))
    expected, _ = chain(file_of(upright, "PNG", exif=b""), input)
    assert difference(file_of(ImageOps.exif_transpose(pixels(found)), "PNG"), expected) == ""


def test_tiles_cover_the_picture_in_even_steps() -> None:
    input = {"image": _overlay(RED), "position": "tile", "margin": 10, "opacity": 1}
    image = pixels(chain(file_of(GREY, "PNG"), input)[0])
    for x in range(WIDTH):
        for y in (5, 10, 39, 40, 49, 50, HEIGHT - 1):
            covered = (x - 10) % 50 < 40 and (y - 10) % 40 < 30
            assert image.getpixel((x, y)) == ((255, 0, 0) if covered else (100, 100, 100)), (x, y)


@pytest.mark.parametrize("opacity", [0, 0.25, 1])
def test_opacity_mixes_the_mark_with_the_picture(opacity: float) -> None:
    input = {"image": _overlay(RED), "position": "center", "opacity": opacity}
    found = pixels(chain(file_of(GREY, "PNG"), input)[0]).getpixel((WIDTH // 2, HEIGHT // 2))
    assert isinstance(found, tuple)
    expected = (100 + 155 * opacity, 100 - 100 * opacity, 100 - 100 * opacity)
    assert found == pytest.approx(expected, abs=1)


def test_an_overlay_is_drawn_with_its_own_alpha() -> None:
    half = Image.new("RGBA", (40, 30), (255, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 20, 30))
    input = {"image": _overlay(half), "position": "top-left", "margin": 0, "opacity": 1}
    assert _changed(chain(file_of(GREY, "PNG"), input)[0], GREY) == (20, 0, 40, 30)


def test_a_mark_on_transparent_pixels_can_be_seen() -> None:
    clear = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    input = {"image": _overlay(RED), "position": "center", "opacity": 0.5}
    found = pixels(chain(file_of(clear, "PNG"), input)[0])
    assert found.getpixel((WIDTH // 2, HEIGHT // 2)) == (255, 0, 0, 128)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ["after", "before"])
def test_sixteen_bits_are_mixed_over_all_their_range(channels: int, order: str) -> None:
    under, alpha = 0x1234, 0xFFFF
    pixel = [under] * channels
    if channels in (2, 4):
        pixel[-1] = alpha
    data = deep_png(array("H", pixel * (WIDTH * HEIGHT)), WIDTH, HEIGHT, channels)
    input = {"image": _overlay(RED), "position": "center", "opacity": 0.5}
    stages = ("split", "watermark", "compress", "join")
    found, _ = chain(data, input, stages if order == "before" else ALL)
    at = ((HEIGHT // 2) * WIDTH + WIDTH // 2) * channels
    part = 128 / 255
    inks = [255, 0, 0] if channels > 2 else [76]
    expected = [ink * 257 * part + under * (1 - part) for ink in inks]
    expected += [alpha] * (channels in (2, 4))
    assert list(deep_pixels(found)[at : at + channels]) == pytest.approx(expected, abs=1)


def test_text_grows_with_the_picture_and_shrinks_to_fit() -> None:
    heights = []
    for size in ((400, 300), (1600, 1200)):
        image = Image.new("RGB", size, (100, 100, 100))
        _, top, _, bottom = _changed(chain(file_of(image, "PNG"), {"text": "H"})[0], image)
        heights.append(bottom - top)
    assert 3.5 < heights[1] / heights[0] < 4.5
    left, _, right, _ = _changed(chain(file_of(GREY, "PNG"), {"text": "long " * 30})[0], GREY)
    assert right - left > WIDTH * 0.7


def test_several_lines_are_drawn_below_each_other() -> None:
    input = {"text": "one", "font_size": 30}
    tall = [
        _changed(chain(file_of(GREY, "PNG"), input | {"text": text})[0], GREY)
        for text in ("H", "H\nH")
    ]
    assert tall[1][3] - tall[1][1] > 1.8 * (tall[0][3] - tall[0][1])


def test_a_font_can_come_with_the_input() -> None:
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    file = font.path
    data = file.getvalue() if isinstance(file, io.BytesIO) else None
    assert data is not None
    plain = {"text": "Hello", "font_size": 60}
    given = plain | {"font": base64.b64encode(data).decode()}
    boxes = [_changed(chain(file_of(GREY, "PNG"), input)[0], GREY) for input in (plain, given)]
    # The same letters; a file of one's own may be set with other distances between them.
    assert boxes[0][1::2] == boxes[1][1::2]


@pytest.mark.parametrize(
    ("input", "word"),
    [
        ({"text": "much too long", "font_size": 300}, "does not fit"),
        ({"image": _overlay(RED.resize((700, 10)))}, "does not fit"),
        ({"text": "H", "font_size": 20, "margin": 395}, "does not fit"),
        ({"text": "x" * 2000, "font_size": 4000}, "too large"),
        ({"text": "   "}, "nothing that can be drawn"),
        ({"text": "x", "color": "no colour"}, "color"),
        ({"text": "x", "font": base64.b64encode(b"no font").decode()}, "font"),
        ({"text": "x", "font": "?"}, "base64"),
        ({"image": "?"}, "base64"),
        ({"image": base64.b64encode(b"no picture").decode()}, "no PNG"),
        ({"image": base64.b64encode(HUGE).decode()}, "too large"),
        ({"text": "H", "position": "tile", "margin": 2000}, "does not fit"),
        ({"image": _overlay(RED), "position": "tile", "margin": 390}, "does not fit"),
        ({"text": "\u6c34\u5370 2026"}, "U+6C34"),
        ({"text": "\u6c34"}, "PENSTOCK_IMAGE_FONT"),
        ({"text": "a\x00b"}, "control characters: U+0000"),
        ({"text": "\x1b[1m"}, "control characters"),
        ({"text": "\u200b"}, "nothing that can be drawn"),
    ],
)
def test_a_mark_that_cannot_be_is_refused(input: dict[str, Any], word: str) -> None:
    error = _refusal(input)
    assert error.code == "InvalidWatermark"
    assert word in error.cause


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("H\u200bi", "Hi"),
        ("\ufeffHi", "Hi"),
        ("H\u00a0i", "H i"),
        ("H\r\ni", "H\ni"),
        ("H\ti", "H    i"),
    ],
)
def test_what_cannot_be_seen_is_not_drawn_as_a_box(text: str, same: str) -> None:
    found, expected = (chain(file_of(GREY, "PNG"), {"text": each})[0] for each in (text, same))
    assert found == expected


def test_a_text_and_an_overlay_at_once_are_refused() -> None:
    assert _refusal({"text": "x", "image": _overlay(RED)}).code == "FC.InvalidArgument"


@pytest.mark.parametrize("input", [{}, {"text": "", "image": None, "opacity": ""}])
def test_without_a_mark_all_bands_pass_byte_for_byte(input: dict[str, Any]) -> None:
    chunks, _ = run_stream("image:split", {}, [file_of(photo("RGB", 2003, 703), "JPEG")])
    chunks, _ = run_stream("image:compress", {}, chunks)
    passed, result = run_stream("image:watermark", input, chunks)
    assert _told(passed) == _told(chunks)
    assert result == {"touched": 0, "passed": len(chunks) - 1}


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_bands_that_the_mark_does_not_meet_pass_byte_for_byte(format: str) -> None:
    input = {"text": "H", "font_size": 20, "position": "center", "format": format}
    chunks, _ = run_stream("image:split", {}, [file_of(photo("RGB", 3003, 903), "JPEG")])
    chunks, _ = run_stream("image:compress", input, chunks)
    passed, result = run_stream("image:watermark", input, chunks)
    same = [one == other for one, other in zip(_told(chunks), _told(passed), strict=True)]
    assert same.count(False) == result["touched"] in (1, 2)
    assert same.count(True) == result["passed"] + 1


def _told(chunks: list[Chunk]) -> list[tuple[bytes, dict[str, str]]]:
    return [(bytes(chunk), chunk.headers) for chunk in chunks]
