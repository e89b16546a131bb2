"""What comes in and is no good is refused with a clear error, before or while it is decoded."""

from __future__ import annotations

import base64
import logging
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tasks.errors import TaskError
from tasks.trying import MemoryStream, run_stream
from tests.image_samples import (
    chain,
    complaints,
    deep_png,
    deep_samples,
    difference,
    file_of,
    photo,
    pixels,
)

JPEG = file_of(photo("RGB", 2003, 403), "JPEG", quality=90)
PNG = file_of(photo("RGBA", 503, 303), "PNG")


def _declared(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with no more than a few of its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _refusal(data: bytes, input: dict[str, Any] | None = None) -> TaskError:
    with pytest.raises(TaskError) as refused:
        chain(data, input or {})
    return refused.value


REFUSED = {
    "nothing": (b"", "InvalidImage", "empty"),
    "a text": (b"I am a text, whatever my name is.\n" * 9, "InvalidImage", "no picture"),
    "three bytes": (b"\xff\xd8\xff", "InvalidImage", "cannot be decoded"),
    "a GIF": (file_of(photo("L", 9, 9), "GIF"), "UnsupportedImage", "GIF"),
    "HEIF": (b"\x00\x00\x00\x18ftypheic" + bytes(50), "UnsupportedImage", "HEIF"),
    "a bomb": (_declared(100_000, 100_000), "ImageTooLarge", "PENSTOCK_IMAGE_MAX_PIXELS"),
    "floats": (file_of(photo("L", 9, 9).convert("F"), "TIFF"), "UnsupportedImage", "float"),
    "two pages": (
        file_of(photo("L", 9, 9), "TIFF", save_all=True, append_images=[photo("L", 9, 8)]),
        "UnsupportedImage",
        "set page",
    ),
    "moving": (
        file_of(photo("RGB", 9, 9), "WEBP", save_all=True, append_images=[photo("RGBA", 9, 9)]),
        "UnsupportedImage",
        "set page",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_of_ours_is_refused_by_name(name: str) -> None:
    data, code, word = REFUSED[name]
    error = _refusal(data)
    assert error.code == code
    assert word in error.cause and "\n" not in error.cause


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_a_file_that_ends_early_is_an_error_and_never_grey_pixels(format: str, part: float) -> None:
    data = file_of(photo("RGB", 1003, 503), format)
    assert _refusal(data[: int(len(data) * part)]).code == "InvalidImage"


def test_all_bands_that_were_whole_came_out_before_the_break() -> None:
    def source() -> Iterator[bytes]:
        yield JPEG[: len(JPEG) // 2]

    stream = MemoryStream()
    with pytest.raises(TaskError):
        run_stream("image:split", {}, source(), stream)
    written = [bytes(chunk) for chunk in stream.written[1:]]
    whole = pixels(JPEG).tobytes()
    assert written and whole.startswith(b"".join(written)) and len(b"".join(written)) < len(whole)


def test_a_jpeg_whose_middle_is_overwritten_is_an_error() -> None:
    middle = len(JPEG) // 2
    assert _refusal(JPEG[:middle] + bytes(500) + JPEG[middle + 500 :]).code == "InvalidImage"


NOISE = file_of(
    Image.frombytes("RGB", (301, 203), random.Random(3).randbytes(301 * 203 * 3)), "JPEG"
)


@pytest.mark.parametrize("orientation", ["keep", "apply"])
@pytest.mark.parametrize("seed", range(8))
def test_a_jpeg_of_which_data_is_left_over_at_the_end_is_damaged(
    seed: int, orientation: str
) -> None:
    chance = random.Random(seed)
    at = chance.randrange(len(NOISE) // 3, len(NOISE) // 2)
    data = NOISE[:at] + chance.randbytes(30) + NOISE[at + 30 :]
    error = _refusal(data, {"orientation": orientation})
    assert error.code == "InvalidImage"


def test_data_between_a_jpegs_pixels_and_its_end_is_damage_and_filling_is_not() -> None:
    end = NOISE.rindex(b"\xff\xd9")
    assert "left over" in _refusal(NOISE[:end] + b"x" * 20 + NOISE[end:]).cause
    filled = NOISE[:end] + bytes(20) + NOISE[end:]
    assert chain(filled, {})[0] == chain(NOISE, {})[0]


def _odd_version(data: bytes) -> bytes:
    return data[:11] + b"\x02\x01" + data[13:]


def _odd_scan(data: bytes) -> bytes:
    at = data.index(b"\xff\xda")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[: end - 3] + bytes(3) + data[end:]


ODD = {"JFIF version": _odd_version, "parameters of its scan": _odd_scan}


@pytest.mark.parametrize("what", ODD)
def test_a_harmless_fault_in_a_jpegs_header_is_set_right_and_told(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = ODD[what](NOISE)
    assert data != NOISE
    with caplog.at_level(logging.WARNING):
        assert chain(data, {})[0] == chain(NOISE, {})[0]
    assert what in caplog.text
    for part in (0.3, 0.9, 0.999):
        assert _refusal(data[: int(len(data) * part)]).code == "InvalidImage"


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_jpeg_is_refused_wherever_it_is_cut(kind: str) -> None:
    data = file_of(photo("RGB", 43, 37), "JPEG", progressive=kind == "progressive")
    for size in [*range(3, len(data), 17), len(data) - 2, len(data) - 1]:
        assert _refusal(data[:size]).code == "InvalidImage", size


def test_one_wrong_bit_in_a_png_is_an_error() -> None:
    data = bytearray(PNG)
    data[len(data) // 2] ^= 4
    assert _refusal(bytes(data)).code == "InvalidImage"


def test_the_limit_of_pixels_is_the_workers_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_IMAGE_MAX_PIXELS", str(503 * 303))
    chain(PNG, {})
    monkeypatch.setenv("PENSTOCK_IMAGE_MAX_PIXELS", str(503 * 303 - 1))
    assert _refusal(PNG).code == "ImageTooLarge"
    monkeypatch.setenv("PENSTOCK_IMAGE_MAX_PIXELS", "many")
    assert "PENSTOCK_IMAGE_MAX_PIXELS" in _refusal(PNG).cause


def test_what_follows_the_picture_is_read_to_its_end_and_left_out() -> None:
    found, _ = chain(JPEG + b"a film " * 100_000, {"quality": 75})
    assert difference(found, chain(JPEG, {"quality": 75})[0]) == ""


def test_an_error_of_the_stream_passes_as_it_is() -> None:
    class Gone(Exception):
        pass

    def source() -> Iterator[bytes]:
        yield JPEG[:20_000]
        raise Gone

    with pytest.raises(Gone):
        run_stream("image:split", {}, source())


@pytest.mark.parametrize("size", [1, 7, 4096, 10_000_000])
def test_it_does_not_matter_how_the_file_is_cut(size: int) -> None:
    data = file_of(photo("RGB", 203, 103), "JPEG")
    assert chain(data, {}, cut=size)[0] == chain(data, {})[0]


MADE = {
    "JPEG": ("RGB", "JPEG"),
    "PNG": ("RGBA", "PNG"),
    "TIFF": ("RGB", "TIFF"),
    "BMP": ("RGB", "PNG"),
    "WEBP": ("RGB", "JPEG"),
}


@pytest.mark.parametrize("source", MADE)
def test_the_format_is_the_one_that_came_or_a_sensible_one(source: str) -> None:
    mode, made = MADE[source]
    found, _ = chain(file_of(photo(mode, 203, 103), source), {})
    assert (pixels(found).format, pixels(found).mode) == (made, mode)
    assert complaints(found) == ""


def test_webp_with_alpha_becomes_png() -> None:
    data = file_of(photo("RGBA", 203, 103), "WEBP", lossless=True, exact=True)
    found, _ = chain(data, {})
    assert difference(found, file_of(pixels(data), "PNG")) == ""


@pytest.mark.parametrize("kind", ["progressive", "interlaced", "palette", "bits"])
def test_unusual_files_give_the_same_pixels(kind: str) -> None:
    image = photo("RGB", 403, 203)
    data = {
        "progressive": file_of(image, "JPEG", progressive=True),
        "interlaced": file_of(image, "PNG", interlace=1),
        "palette": file_of(image.convert("P"), "PNG"),
        "bits": file_of(image.convert("1"), "TIFF", compression="group4"),
    }[kind]
    made = "tiff" if kind == "bits" else "png"
    found, _ = chain(data, {"format": made})
    expected = pixels(data).convert("L" if kind == "bits" else "RGB")
    assert difference(found, file_of(expected, "PNG")) == ""


def test_alpha_is_laid_over_white_for_jpeg() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    found, _ = chain(file_of(image, "PNG"), {"format": "jpg"})
    assert pixels(found).getpixel((5, 5)) == (255, 255, 255)


def test_sixteen_bits_become_eight_for_jpeg() -> None:
    data = deep_png(deep_samples(64, 64, 1), 64, 64, 1)
    found, _ = chain(data, {"format": "jpeg", "quality": 95})
    assert pixels(found).mode == "L"


def test_png_refuses_cmyk_and_says_what_to_do() -> None:
    error = _refusal(file_of(photo("CMYK", 64, 64), "JPEG"), {"format": "png"})
    assert error.code == "UnsupportedImage" and "jpeg or tiff" in error.cause


def test_jpeg_refuses_sides_that_it_cannot_have() -> None:
    error = _refusal(file_of(Image.new("L", (3, 70_000)), "PNG"), {"format": "jpeg"})
    assert error.code == "ImageTooLarge" and "65500" in error.cause


def test_a_page_of_several_can_be_chosen() -> None:
    pages = [photo("L", 64, 64), photo("L", 64, 65)]
    data = file_of(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert difference(chain(data, {"page": 1})[0], file_of(pages[1], "TIFF")) == ""


@pytest.mark.parametrize("libvips", [True, False])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_a_page_that_a_file_has_not_is_refused(
    source: str, libvips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not libvips:
        monkeypatch.setitem(sys.modules, "pyvips", None)
    data = file_of(photo("RGB", 64, 64), source)
    error = _refusal(data, {"page": 3})
    assert error.code == "UnsupportedImage" and "page 3" in error.cause
    assert pixels(chain(data, {"page": 0})[0]).size == (64, 64)


def test_cielab_is_refused_as_a_kind_that_cannot_be_done() -> None:
    data = file_of(Image.new("LAB", (64, 64)), "TIFF")
    error = _refusal(data)
    assert error.code == "UnsupportedImage" and "CIELAB" in error.cause


@pytest.mark.parametrize("start", [b"BM", b"\x00\x01\xfe", b"PK\x03\x04"])
def test_a_cause_is_for_people(start: bytes) -> None:
    cause = _refusal(start).cause
    assert "object at" not in cause and "<_io" not in cause and "b'" not in cause


@pytest.fixture
def low_limit_of_pillow() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    # Bands are cut out of a picture within the limit.
    Image.MAX_IMAGE_PIXELS = 700_000
    yield
    Image.MAX_IMAGE_PIXELS = before


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.usefixtures("low_limit_of_pillow")
def test_pillows_own_limit_of_pixels_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo("L", 1503, 1003)
    overlay = base64.b64encode(file_of(image, "PNG")).decode()
    found, _ = chain(file_of(image, "BMP"), {"image": overlay, "opacity": 1, "margin": 0})
    assert struct.unpack(">II", found[16:24]) == image.size
    monkeypatch.setenv("PENSTOCK_IMAGE_MAX_PIXELS", "1000000")
    assert "PENSTOCK_IMAGE_MAX_PIXELS" in _refusal(file_of(image, "BMP")).cause


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_without_libvips_pillow_decodes_whole_and_the_log_says_so(
    source: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = file_of(photo("RGB", 2003, 303), source)
    expected, _ = chain(data, {"quality": 75})
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with caplog.at_level(logging.WARNING):
        found, _ = chain(data, {"quality": 75})
    assert difference(found, expected) == ""
    assert "decoded whole" in caplog.text
    assert _refusal(data[: len(data) // 2]).code == "InvalidImage"


def test_without_libvips_a_jpeg_without_its_end_is_refused_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    assert "premature end" in _refusal(NOISE[:-2]).cause


def test_without_libvips_sixteen_bits_are_refused_rather_than_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    for channels in (1, 3):
        error = _refusal(deep_png(deep_samples(64, 64, channels), 64, 64, channels))
        assert error.code == "UnsupportedImage" and "libvips" in error.cause
