"""The image flow on real workers: each picture comes out whole, or not at all and with a name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from engine.errors import ExecutionFailed
from tasks.loading import shipped_flows
from tests.acceptance.streaming import Stack, closed, opened, pids, plain, read, stack
from tests.image_samples import chain, complaints, file_of, photo

FLOW = "compress_watermark"
INPUT: dict[str, Any] = {"quality": 75, "text": "Penstock", "font_size": 40}
JPEG = file_of(photo("RGB", 4003, 1203), "JPEG", quality=92)
PNG = file_of(photo("RGBA", 1503, 803), "PNG")
TIFF = file_of(photo("RGB", 803, 603), "TIFF")


def _png_of(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _jpeg_of(width: int, height: int) -> bytes:
    """The sample, which says that it is so large."""
    at = JPEG.index(b"\xff\xc0")
    return JPEG[: at + 5] + struct.pack(">HH", height, width) + JPEG[at + 9 :]


def _tiff_of(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 100)]
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + rows + bytes(104)


BROKEN = {
    "nothing": (b"", "InvalidImage"),
    "a text": (b"I am a text, whatever my name is.\n" * 400, "InvalidImage"),
    "a bomb (PNG)": (_png_of(100_000, 100_000), "ImageTooLarge"),
    "a bomb (JPEG)": (_jpeg_of(65_500, 65_500), "ImageTooLarge"),
    "a bomb (TIFF)": (_tiff_of(100_000, 100_000), "ImageTooLarge"),
    "a GIF": (file_of(photo("L", 9, 9), "GIF"), "UnsupportedImage"),
    "floats": (file_of(photo("L", 9, 9).convert("F"), "TIFF"), "UnsupportedImage"),
    "zeros in the middle": (JPEG[:200_000] + bytes(100_000) + JPEG[300_000:], "InvalidImage"),
    "a PNG with another byte": (PNG[:50_000] + b"\x55" + PNG[50_001:], "InvalidImage"),
}
CUT = [0.001, 0.02, 0.3, 0.7, 0.99, 0.9999]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers of two slots, with the flow."""
    with stack(tmp_path_factory.mktemp("pictures"), [2, 2]) as made:
        made.engine.create_flow(FLOW, shipped_flows()[FLOW].read_text())
        yield made


def refusal(fleet: Stack, data: bytes, input: dict[str, Any] | None = None) -> str:
    """The error of a picture that cannot be processed, once nothing is left of it."""
    streamed = fleet.engine.stream(FLOW, INPUT | (input or {}), data)
    with pytest.raises(ExecutionFailed) as failed:
        read(streamed)
    assert plain(failed.value.cause), failed.value.cause
    assert streamed.execution.describe().status == "Failed"
    fleet.assert_nothing_left()
    return failed.value.error


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_whole_picture_is_refused_by_name(fleet: Stack, name: str) -> None:
    data, error = BROKEN[name]
    assert refusal(fleet, data) == error


@pytest.mark.parametrize("part", CUT)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_picture_that_was_cut_off_is_not_made_up(fleet: Stack, format: str, part: float) -> None:
    data = {"JPEG": JPEG, "PNG": PNG, "TIFF": TIFF}[format]
    assert refusal(fleet, data[: int(len(data) * part)]) == "InvalidImage"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_a_picture_is_the_same_over_several_processes(fleet: Stack, format: str) -> None:
    data = {"JPEG": JPEG, "PNG": PNG, "TIFF": TIFF}[format]
    streamed = fleet.engine.stream(FLOW, INPUT, data)
    found = read(streamed)
    assert found == chain(data, INPUT)[0]
    assert complaints(found) == ""
    assert len(set(pids(opened(fleet, streamed)[0]))) >= 2
    assert all(edge["chunks"] for edge in closed(fleet, streamed)[0]["edges"])
    fleet.assert_nothing_left()


def test_a_mark_larger_than_the_picture_is_refused_by_name(fleet: Stack) -> None:
    small = file_of(photo("RGB", 64, 40), "JPEG", quality=90)
    assert refusal(fleet, small, {"font_size": 400}) == "InvalidWatermark"


@pytest.mark.parametrize(
    "input", [{"quality": 200}, {"quality": "much"}, {"format": "gif"}, {"scale": 0}]
)
def test_an_input_that_makes_no_sense_is_refused(fleet: Stack, input: dict[str, Any]) -> None:
    assert refusal(fleet, JPEG, input) == "FC.InvalidArgument"
