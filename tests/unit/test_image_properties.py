"""Whatever the size, the mode and the settings: valid files, and the pixels of whole pictures."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.image_reference import marked, reference_jpeg
from tests.image_samples import chain, complaints, difference, file_of, photo, pixels

SLOW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SIZES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(3000, 8000), st.integers(1, 200)),
    st.tuples(st.integers(1, 20), st.integers(4000, 9000)),
)
POSITIONS = st.sampled_from(["top-left", "top", "left", "center", "bottom-right", "tile"])


@st.composite
def inputs(draw: st.DrawFn, size: tuple[int, int]) -> dict[str, Any]:
    """A mark of a size that fits most pictures, and settings of all kinds."""
    found: dict[str, Any] = {
        "quality": draw(st.integers(1, 95)),
        "subsampling": draw(st.sampled_from(["4:2:0", "4:2:2", "4:4:4"])),
        "opacity": draw(st.floats(0.1, 1)),
        "position": draw(POSITIONS),
        "color": draw(st.sampled_from(["white", "#123456", "orange"])),
    }
    if min(size) >= 12:
        found["text"] = draw(st.sampled_from(["i", "-", "."]))
        found["font_size"] = 8
        found["margin"] = draw(st.integers(0, 2))
    return found


@st.composite
def cases(draw: st.DrawFn, modes: list[str]) -> tuple[str, tuple[int, int], dict[str, Any]]:
    """A mode, a size and an input."""
    size = draw(SIZES)
    return draw(st.sampled_from(modes)), size, draw(inputs(size))


@SLOW
@given(cases(["L", "RGB", "CMYK"]))
def test_any_jpeg_is_valid_and_has_the_pixels_of_the_reference(
    case: tuple[str, tuple[int, int], dict[str, Any]],
) -> None:
    mode, size, input = case
    source = file_of(photo(mode, *size), "JPEG", quality=90)
    found, _ = chain(source, input)
    assert complaints(found) == ""
    assert difference(found, reference_jpeg(pixels(source), input)) == ""


@SLOW
@given(cases(["L", "RGB", "RGBA"]), st.sampled_from(["PNG", "TIFF"]), st.booleans())
def test_any_lossless_file_is_valid_and_has_each_pixel(
    case: tuple[str, tuple[int, int], dict[str, Any]], format: str, first: bool
) -> None:
    mode, size, input = case
    image = photo(mode, *size)
    middle = ("watermark", "compress") if first else ("compress", "watermark")
    found, _ = chain(file_of(image, format), input, ("split", *middle, "join"))
    assert complaints(found) == ""
    assert difference(found, file_of(marked(image, input), format)) == ""
