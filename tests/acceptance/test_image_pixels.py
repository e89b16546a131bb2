"""Each pixel of a streamed picture is the one that whole pictures give."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.image_reference import marked, met_bands, reference_jpeg
from tests.image_samples import (
    chain,
    complaints,
    deep_pixels,
    deep_png,
    deep_samples,
    difference,
    djpeg,
    file_of,
    photo,
    pixels,
)

INPUT: dict[str, Any] = {"quality": 75, "text": "Penstock", "font_size": 60, "margin": 20}
# Wide, so that there are several bands; heights that fill neither the last one nor its blocks.
WIDE, HIGH = 6003, 403
JPEGS = {
    "4:2:0": ("RGB", {"subsampling": "4:2:0"}),
    "4:2:2": ("RGB", {"subsampling": "4:2:2"}),
    "4:4:4": ("RGB", {"subsampling": "4:4:4"}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
}
POSITIONS = ["top-left", "center", "bottom-right", "tile"]
by_djpeg = pytest.mark.skipif(
    shutil.which("djpeg") is None, reason="djpeg (libjpeg-turbo-progs) is not installed"
)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("name", JPEGS)
def test_compress_then_watermark_gives_the_pixels_of_whole_pictures(
    name: str, position: str
) -> None:
    mode, options = JPEGS[name]
    input = INPUT | options | {"position": position}
    source = file_of(photo(mode, WIDE * (3 if mode == "L" else 1), HIGH), "JPEG", quality=90)
    found, results = chain(source, input)
    whole = pixels(source)
    bands = met_bands(whole, input)
    assert results["watermark"]["touched"] == len(bands) > 0
    assert results["watermark"]["passed"] > 0 or position == "tile"
    assert difference(found, reference_jpeg(whole, input)) == ""
    assert complaints(found) == ""


@pytest.mark.parametrize("name", JPEGS)
def test_watermark_then_compress_gives_the_pixels_of_one_encode(name: str) -> None:
    mode, options = JPEGS[name]
    input = INPUT | options
    source = file_of(photo(mode, WIDE, HIGH), "JPEG", quality=90)
    found, _ = chain(source, input, ("split", "watermark", "compress", "join"))
    assert (
        difference(found, file_of(marked(pixels(source), input), "JPEG", quality=75, **options))
        == ""
    )


@pytest.mark.parametrize("height", [1, 7, 8, 15, 16, 17, 33, 224])
@pytest.mark.parametrize("name", JPEGS)
def test_any_height_gives_the_pixels_of_the_whole_picture(name: str, height: int) -> None:
    mode, options = JPEGS[name]
    source = file_of(photo(mode, WIDE, height), "JPEG", quality=90)
    found, _ = chain(source, {"quality": 60} | options)
    assert difference(found, file_of(pixels(source), "JPEG", quality=60, **options)) == ""
    assert complaints(found) == ""


@by_djpeg
@pytest.mark.parametrize("name", JPEGS)
def test_libjpegs_own_decoder_reads_the_file_and_sees_the_same(name: str) -> None:
    mode, options = JPEGS[name]
    source = file_of(photo(mode, WIDE, HIGH), "JPEG", quality=90)
    found, _ = chain(source, INPUT | options)
    ended = djpeg(found)
    assert (ended.returncode, ended.stderr) == (0, b"")
    if mode != "CMYK":
        assert ended.stdout.endswith(pixels(found).tobytes())


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_lossless_files_keep_each_pixel_that_is_not_drawn_on(
    mode: str, format: str, order: str
) -> None:
    image = photo(mode, WIDE, 203)
    stages = ("split", "compress", "watermark", "join")
    if order == "before":
        stages = ("split", "watermark", "compress", "join")
    found, _ = chain(file_of(image, format), INPUT, stages)
    expected = marked(image.convert("RGBA") if mode == "LA" else image, INPUT).convert(mode)
    assert difference(found, file_of(expected, format)) == ""
    assert complaints(found) == ""


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_sixteen_bits_stay_sixteen(channels: int, format: str) -> None:
    samples = deep_samples(1501, 203, channels)
    found, _ = chain(deep_png(samples, 1501, 203, channels), {"format": format})
    assert deep_pixels(found) == samples
    assert complaints(found) == ""


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mark_on_sixteen_bits_is_mixed_at_full_depth(channels: int) -> None:
    width, height, grey = 1501, 203, 0x1234
    samples = deep_samples(width, height, channels)
    input = INPUT | {"opacity": 0.5, "color": "black"}
    found = deep_pixels(chain(deep_png(samples, width, height, channels), input)[0])
    changed = [at for at in range(len(samples)) if samples[at] != found[at]]
    assert changed
    # Black at half its strength: 128 of 255 parts, and less at the edges of the letters.
    darkest = min(found[at] / max(samples[at], 1) for at in changed if samples[at] > grey)
    assert abs(darkest - 127 / 255) < 1e-3
    assert all(found[at] <= samples[at] for at in changed)
