"""Samples of 16 bits: byte orders, and the planes that Pillow can work on one by one."""

from __future__ import annotations

from array import array

from PIL import Image

from tasks.chunk import BytesLike

_PLANE = "I;16"


def swapped(data: BytesLike) -> bytes:
    """The same samples in the other byte order."""
    samples = array("H", bytes(data))
    samples.byteswap()
    return samples.tobytes()


def planes_of(data: BytesLike, width: int, rows: int, channels: int) -> list[Image.Image]:
    """A picture of 16 bits for each channel."""
    samples = array("H", bytes(data))
    return [
        Image.frombytes(_PLANE, (width, rows), samples[channel::channels].tobytes())
        for channel in range(channels)
    ]


def samples_of(planes: list[Image.Image]) -> bytes:
    """The samples of all planes, pixel by pixel."""
    width, rows = planes[0].size
    samples = array("H", bytes(2 * width * rows * len(planes)))
    for channel, plane in enumerate(planes):
        samples[channel :: len(planes)] = array("H", plane.tobytes())
    return samples.tobytes()
