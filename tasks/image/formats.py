"""Formats: which kind of file begins with these bytes, and which one is made of it."""

from __future__ import annotations

from tasks.image.errors import invalid_image, unsupported

START_BYTES = 16

_STARTS = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
    b"BM": "bmp",
}
_OTHERS = {
    b"GIF8": "GIF",
    b"\x00\x00\x01\x00": "an icon",
    b"8BPS": "a Photoshop file",
    b"%PDF": "PDF",
    b"\x00\x00\x00\x0cJXL": "JPEG XL",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
}
_KNOWN = "JPEG, PNG, TIFF, WebP and BMP"


def format_of(start: bytes) -> str:
    """`jpeg`, `png`, `tiff`, `webp` or `bmp`, by the first bytes of a file.

    Raises:
        TaskError: `InvalidImage`, there are none, or they begin no picture;
            `UnsupportedImage`, they begin one of another kind.
    """
    if not start:
        raise invalid_image("no bytes came: the file is empty")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    for magic, name in _STARTS.items():
        if start.startswith(magic):
            return name
    other = next((name for magic, name in _OTHERS.items() if start.startswith(magic)), "")
    if start[4:8] == b"ftyp":
        other = "HEIF, AVIF or a film"
    if other:
        raise unsupported(f"the file is {other}; {_KNOWN} can be read: convert it first")
    raise invalid_image(
        f"the file is no picture: it begins with {_shown(start)}; {_KNOWN} can be read"
    )


def default_format(format: str, mode: str) -> str:
    """What is made of a file of `format` when nobody asks for another.

    What was lossless stays so. WebP cannot be written by bands: it becomes JPEG, or PNG where
    it has alpha.
    """
    if format == "webp":
        return "png" if mode.endswith("A") else "jpeg"
    return "png" if format == "bmp" else format


def _shown(start: bytes) -> str:
    """As text where it is one, else byte by byte."""
    text = start.decode("ascii", "replace")
    return f'"{text}"' if text.isprintable() and text.isascii() else f"the bytes {start.hex(' ')}"
