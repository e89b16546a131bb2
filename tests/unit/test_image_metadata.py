"""What a picture's file says beside its pixels is carried to the file that is made of it."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from tasks.image.metadata import orientation_of, with_orientation
from tasks.image.thumbnails import without_thumbnail
from tests.image_samples import chain, complaints, difference, file_of, photo, pixels

MAKE, ORIENTATION, TAKEN, EXIF_IFD, GPS_IFD = 0x010F, 0x0112, 0x9003, 0x8769, 0x8825
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS = {"jpeg": "JPEG", "png": "PNG", "tiff": "TIFF"}


def _exif(orientation: int = 1, description: str = "") -> bytes:
    exif = Image.Exif()
    exif[MAKE] = "a camera"
    exif[ORIENTATION] = orientation
    exif.get_ifd(EXIF_IFD)[TAKEN] = "2026:11:20 10:00:00"
    exif.get_ifd(GPS_IFD)[1] = "N"
    exif[0x010E] = description
    return exif.tobytes()


@pytest.mark.parametrize("made", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_profile_exif_and_dpi_are_carried_from_any_format_to_any(source: str, made: str) -> None:
    data = file_of(
        photo("RGB", 203, 103), FORMATS[source], exif=_exif(6), dpi=(300, 150), icc_profile=PROFILE
    )
    found, _ = chain(data, {"format": made})
    # Pillow takes the orientation out of a TIFF when it loads its pixels.
    image = Image.open(io.BytesIO(found))
    exif = image.getexif()
    assert image.info["icc_profile"] == PROFILE
    assert image.info["dpi"] == pytest.approx((300, 150), abs=0.013)
    assert (exif[MAKE], exif[ORIENTATION]) == ("a camera", 6)
    assert exif.get_ifd(EXIF_IFD)[TAKEN] == "2026:11:20 10:00:00"
    assert exif.get_ifd(GPS_IFD)[1] == "N"
    assert complaints(found) == ""


@pytest.mark.parametrize("made", FORMATS)
def test_a_file_that_says_nothing_becomes_one_that_says_nothing(made: str) -> None:
    found, _ = chain(file_of(photo("RGB", 203, 103), "PNG"), {"format": made})
    image = pixels(found)
    # One dot an inch is what Pillow says of a TIFF without any.
    assert "icc_profile" not in image.info and image.info.get("dpi", (1, 1)) == (1, 1)
    assert MAKE not in image.getexif()


def test_exif_of_a_jpeg_is_carried_byte_for_byte() -> None:
    data = file_of(photo("L", 64, 64), "JPEG", exif=_exif(3))
    found, _ = chain(data, {})
    assert pixels(found).info["exif"] == pixels(data).info["exif"]


def test_a_profile_larger_than_a_segment_of_jpeg_is_carried_in_parts() -> None:
    profile = bytes(range(256)) * 600
    found, _ = chain(file_of(photo("RGB", 64, 64), "JPEG", icc_profile=profile), {})
    assert pixels(found).info["icc_profile"] == profile


def test_exif_too_large_for_a_jpeg_is_left_out() -> None:
    exif = _exif(description="x" * 70_000)
    found, _ = chain(file_of(photo("RGB", 64, 64), "PNG", exif=exif), {"format": "jpeg"})
    assert "exif" not in pixels(found).info
    assert complaints(found) == ""


def test_a_profile_too_large_for_a_jpeg_is_left_out_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    profile = bytes(17_000_000)
    data = file_of(photo("RGB", 64, 64), "TIFF", icc_profile=profile)
    with caplog.at_level("WARNING"):
        found, _ = chain(data, {"format": "jpeg"}, cut=4_000_000)
    assert "icc_profile" not in pixels(found).info and "profile of 17000000" in caplog.text
    found, _ = chain(data, {"format": "tiff"}, cut=4_000_000)
    assert pixels(found).info["icc_profile"] == profile


THUMBNAIL = file_of(photo("RGB", 40, 30), "JPEG")
NOTES = b"a camera's own notes"


def _with_thumbnail(order: str) -> bytes:
    """EXIF with orientation 6, notes behind the directories, and a thumbnail behind those."""
    small = 8 + 2 + 12 + 4
    notes = small + 2 + 2 * 12 + 4
    start = {"<": b"II*\x00", ">": b"MM\x00*"}[order] + struct.pack(f"{order}I", 8)
    main = struct.pack(f"{order}HHHIHHI", 1, 0x0112, 3, 1, 6, 0, small)
    places = struct.pack(f"{order}HHII", 0x0201, 4, 1, notes + len(NOTES))
    sizes = struct.pack(f"{order}HHII", 0x0202, 4, 1, len(THUMBNAIL))
    second = struct.pack(f"{order}H", 2) + places + sizes + bytes(4)
    return start + main + second + NOTES + THUMBNAIL


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("input", "kept"),
    [
        ({}, True),
        ({"quality": 30}, True),
        ({"text": "x"}, False),
        ({"scale": 0.5}, False),
        ({"orientation": "apply"}, False),
    ],
)
def test_a_thumbnail_goes_where_the_picture_is_another(
    input: dict[str, object], kept: bool, order: str
) -> None:
    data = file_of(photo("RGB", 203, 103), "JPEG", exif=b"Exif\x00\x00" + _with_thumbnail(order))
    found, _ = chain(data, input)
    assert (THUMBNAIL[100:200] in found) == kept
    assert NOTES in found
    exif = Image.open(io.BytesIO(found)).getexif()
    assert bool(exif.get_ifd(ExifTags.IFD.IFD1)) == kept
    assert exif[ORIENTATION] == (1 if "orientation" in input else 6)


def test_exif_that_is_broken_or_has_no_thumbnail_stays_as_it_is() -> None:
    whole = _with_thumbnail("<")
    plain = _exif(6).removeprefix(b"Exif\x00\x00")
    for exif in (plain, b"", b"x" * 40, whole[:7], whole[:20], b"II*\x00" + b"\xff" * 60):
        assert without_thumbnail(exif) == exif
    # A directory that claims the main one as its thumbnail does not get it.
    place = whole.index(struct.pack("<HHI", 0x0201, 4, 1)) + 8
    claimed = without_thumbnail(whole[:place] + bytes(4) + whole[place + 4 :])
    assert claimed != whole and orientation_of(claimed) == 6


def test_broken_exif_does_not_stop_a_tiff() -> None:
    broken = b"Exif\x00\x00II*\x00" + b"\x08\x00\x00\x00\xff\xff" + b"\x01" * 40
    image = photo("RGB", 64, 64)
    found, _ = chain(file_of(image, "JPEG", exif=broken, quality=90), {"format": "tiff"})
    assert difference(found, file_of(pixels(file_of(image, "JPEG", quality=90)), "TIFF")) == ""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["PNG", "TIFF", "JPEG"])
def test_orientation_can_be_applied_to_the_pixels(source: str, orientation: int) -> None:
    data = file_of(photo("RGB", 203, 103), source, exif=_exif(orientation))
    found, results = chain(data, {"orientation": "apply", "format": "png"})
    upright = ImageOps.exif_transpose(pixels(data))
    assert difference(found, file_of(upright, "PNG")) == ""
    assert pixels(found).getexif()[ORIENTATION] == 1
    assert (results["join"]["width"], results["join"]["height"]) == upright.size


def test_dots_per_inch_turn_with_the_pixels() -> None:
    data = file_of(photo("RGB", 203, 103), "JPEG", exif=_exif(6), dpi=(300, 150))
    found, _ = chain(data, {"orientation": "apply"})
    assert pixels(found).info["dpi"] == (150, 300)


def test_orientation_is_found_and_changed_in_either_byte_order() -> None:
    for order, start in (("little", b"II*\x00"), ("big", b"MM\x00*")):
        entry = [(0x0112, 2), (3, 2), (1, 4), (6, 2), (0, 2)]
        parts = [(8, 4), (1, 2), *entry, (0, 4)]
        exif = start + b"".join(
            value.to_bytes(size, "little" if order == "little" else "big") for value, size in parts
        )
        assert orientation_of(exif) == 6
        assert orientation_of(with_orientation(exif, 3)) == 3
        assert len(with_orientation(exif, 3)) == len(exif)


@pytest.mark.parametrize("exif", [b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff\x01\x00", b"x" * 50])
def test_exif_without_a_right_orientation_counts_as_upright(exif: bytes) -> None:
    assert orientation_of(exif) == 1
