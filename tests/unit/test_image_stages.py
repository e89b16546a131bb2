"""Each stage keeps its part of the bargain: what it needs, what it writes, what it refuses."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

import tasks.image
from tasks.chunk import Chunk
from tasks.errors import TaskError
from tasks.image.bands import BAND_BYTES, Band, rows_per_band
from tasks.registry import find
from tasks.trying import run_stream
from tests.image_samples import (
    chain,
    complaints,
    deep_pixels,
    deep_png,
    deep_samples,
    file_of,
    photo,
    pixels,
)


def _bands(mode: str = "RGB", width: int = 3003, height: int = 403) -> list[Chunk]:
    return run_stream("image:split", {}, [file_of(photo(mode, width, height), "TIFF")])[0]


def test_bands_are_of_whole_blocks_and_a_quarter_of_a_window() -> None:
    bands = [Band.of(chunk) for chunk in _bands()[1:]]
    assert [band.y for band in bands] == [0, 112, 224, 336]
    assert [band.rows for band in bands] == [112, 112, 112, 67]
    assert all(len(band.data) <= BAND_BYTES for band in bands)


@pytest.mark.parametrize(
    ("width", "mode", "rows"),
    [(1, "L", 4096), (12_000, "RGB", 16), (65_500, "CMYK", 16), (1_000_000, "L", 1)],
)
def test_the_rows_of_a_band_follow_from_the_width(width: int, mode: str, rows: int) -> None:
    assert rows_per_band(width, mode) == rows


def test_a_row_that_is_too_long_to_be_sent_is_refused() -> None:
    with pytest.raises(TaskError, match="ImageTooLarge"):
        rows_per_band(20_000_000, "RGBA")


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_compress_gives_the_same_piece_whatever_came_before(format: str) -> None:
    chunks = _bands()
    together, _ = run_stream("image:compress", {"format": format}, chunks)
    alone = [run_stream("image:compress", {"format": format}, [chunk])[0] for chunk in chunks]
    assert [len(found) for found in alone] == [1] * len(chunks)
    assert [(bytes(a[0]), a[0].headers) for a in alone] == [(bytes(t), t.headers) for t in together]


@pytest.mark.parametrize(
    ("input", "stateless"),
    [({}, True), ({"scale": 1}, True), ({"scale": ""}, True), ({"scale": 0.5}, False),
     ({"scale": "1"}, True), ({"scale": "0.5"}, False), ({"scale": [1]}, False)],
)  # fmt: skip
def test_compress_is_stateless_unless_it_scales(input: dict[str, Any], stateless: bool) -> None:
    registered = find(["image:compress"])
    assert registered is not None and registered.is_stateless(input) is stateless


def test_each_piece_of_jpeg_is_a_picture_of_its_own() -> None:
    pieces, _ = run_stream("image:compress", {"format": "jpeg"}, _bands())
    sizes = [Image.open(io.BytesIO(piece)).size for piece in pieces[1:]]
    assert sizes == [(3003, 112)] * 3 + [(3003, 67)]


def test_the_same_input_gives_the_same_bytes_again() -> None:
    data = file_of(photo("RGB", 2003, 703), "JPEG")
    input = {"text": "again", "position": "tile"}
    assert chain(data, input)[0] == chain(data, input)[0]


@pytest.mark.parametrize(
    ("stages", "word"),
    [
        (("compress", "join"), "image:split"),
        (("watermark",), "image:split"),
        (("join",), "image:split"),
        (("split", "join"), "image:compress"),
        (("split", "compress", "compress", "join"), "once"),
    ],
)
def test_stages_in_a_wrong_order_say_which_one_is_missing(
    stages: tuple[str, ...], word: str
) -> None:
    if stages == ("watermark",):
        stages = ("watermark", "join")
    with pytest.raises(TaskError) as refused:
        chain(file_of(photo("RGB", 64, 64), "JPEG"), {}, stages)
    assert (refused.value.code, word in refused.value.cause) == ("InvalidBands", True)


@pytest.mark.parametrize("missing", [1, 2, -1])
def test_join_refuses_a_picture_with_a_hole(missing: int) -> None:
    pieces, _ = run_stream("image:compress", {}, _bands())
    del pieces[missing]
    with pytest.raises(TaskError, match="InvalidBands"):
        run_stream("image:join", {}, pieces)


def test_join_refuses_pieces_of_different_settings() -> None:
    fine, coarse = (
        run_stream("image:compress", {"quality": quality, "format": "jpeg"}, _bands())[0]
        for quality in (90, 20)
    )
    with pytest.raises(TaskError, match="other settings"):
        run_stream("image:join", {}, fine[:2] + coarse[2:])


def test_the_file_begins_with_the_first_piece() -> None:
    pieces, _ = run_stream("image:compress", {"format": "jpeg"}, _bands())
    written, result = run_stream("image:join", {}, pieces)
    assert written[0].startswith(b"\xff\xd8\xff\xe0")
    # The first piece does not wait for others; later ones may leave together.
    assert len(written[0]) < 2 * len(pieces[1]) and 2 <= len(written) <= len(pieces)
    assert result == {
        "format": "jpeg",
        "width": 3003,
        "height": 403,
        "bytes": sum(map(len, written)),
    }


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.31, 0.1, 0.001])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_scaling_by_bands_is_scaling_the_whole_picture(mode: str, scale: float) -> None:
    image = photo(mode, 2003, 903)
    found, results = chain(file_of(image, "PNG"), {"scale": scale})
    size = tuple(max(1, round(side * scale)) for side in image.size)
    assert (results["join"]["width"], results["join"]["height"]) == size
    expected = image.resize(size, Image.Resampling.LANCZOS)
    seen = "RGBa" if mode == "RGBA" else mode
    apart = ImageChops.difference(pixels(found).convert(seen), expected.convert(seen)).tobytes()
    # Pillow takes a part's place as a short float: a level is rounded otherwise now and then.
    assert max(apart) <= (2 if mode == "RGBA" else 1)
    assert len(apart) - apart.count(0) <= len(apart) / 5000


def test_scaling_keeps_sixteen_bits() -> None:
    samples = deep_samples(1003, 503, 3)
    found, _ = chain(deep_png(samples, 1003, 503, 3), {"scale": 0.5})
    kept = deep_pixels(found)
    assert len(kept) == 502 * 252 * 3
    assert abs(sum(kept) / len(kept) - sum(samples) / len(samples)) < 200


def test_scaled_bands_can_be_marked_and_made_a_jpeg() -> None:
    data = file_of(photo("RGB", 4003, 1503), "JPEG", quality=95)
    found, results = chain(data, {"scale": 0.7, "text": "small"})
    assert (pixels(found).size, complaints(found)) == ((2802, 1052), "")
    assert results["watermark"]["touched"] > 0


@pytest.mark.parametrize(
    ("stage", "input", "key"),
    [
        ("compress", {"quality": 0}, "quality"),
        ("compress", {"quality": 96}, "quality"),
        ("compress", {"scale": 1.1}, "scale"),
        ("compress", {"scale": 0}, "scale"),
        ("compress", {"format": "webp"}, "format"),
        ("compress", {"subsampling": "4:1:1"}, "subsampling"),
        ("watermark", {"opacity": 2}, "opacity"),
        ("watermark", {"position": "somewhere"}, "position"),
        ("watermark", {"font_size": -1}, "font_size"),
        ("split", {"orientation": "sideways"}, "orientation"),
    ],
)
def test_input_out_of_range_is_refused_by_its_key(
    stage: str, input: dict[str, Any], key: str
) -> None:
    with pytest.raises(TaskError) as refused:
        run_stream(f"image:{stage}", input, [])
    assert refused.value.code == "FC.InvalidArgument" and key in refused.value.cause


def test_empty_values_stand_for_the_defaults() -> None:
    data = file_of(photo("RGB", 64, 64), "JPEG")
    empty = {"quality": "", "format": None, "scale": "", "subsampling": "", "position": ""}
    assert chain(data, empty)[0] == chain(data, {})[0]
    assert chain(data, {"quality": "75", "format": "JPG"})[0] == chain(data, {})[0]


def test_warming_can_be_repeated() -> None:
    tasks.image.warm()
    tasks.image.warm()


def test_the_shipped_flow_is_there_under_its_name() -> None:
    flow = Path(tasks.image.__file__).parent / "flows" / "compress_watermark.yml"
    text = flow.read_text()
    stages = ["image:split", "image:compress", "image:watermark", "image:join"]
    assert sorted(stages, key=text.index) == stages
