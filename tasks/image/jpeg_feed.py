"""A JPEG on its way to a decoder: its header is set right, and its last needed byte is found.

libjpeg tells of damage while it decodes, but not of data that it has left over at the end, and
damage in the middle mostly leaves some: the pixels from there on are wrong. A right file is one
whose last byte was needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.chunk import BytesLike
from tasks.image.feed import Feed

_PART_BYTES = 1024 * 1024
_HELD_BYTES = 64
"""Of a scan, in case the next bytes end it: so much filling may be between data and end."""

_FILLING = b"\x00\xff"
_EOI = b"\xff\xd9"
_END = re.compile(_EOI)
"""For a scan, where 0xff is frequent, more than twice as fast as `bytes.find`."""

_ALONE = (0x01, *range(0xD0, 0xD8))
_APP0, _SOS, _FILL = 0xE0, 0xDA, 0xFF
_SEQUENTIAL = (0xC0, 0xC1)
_WHOLE_SCAN = bytes((0, 63, 0))
"""The only right parameters of a scan that is not progressive."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file.

    Attributes:
        apart: What follows is only for a reader that asks for more once it has these.
    """

    data: BytesLike
    apart: bool = False


def plain_parts(feed: Feed) -> Iterator[Part]:
    """The feed as it is."""
    while data := feed.read(_PART_BYTES):
        yield Part(data)


class JpegFeed:
    """One JPEG; what is no JPEG passes as it is, for its decoder to say so.

    Attributes:
        mended: What was set right in the header, in words: harmless, but a decoder that may not
            overlook any warning would refuse it. "" is nothing.
        ended: True once the end of the picture was seen.
        needed_at: Offset of the last byte without which no decoder has all pixels, and which
            comes apart from those before; None where decoders notice by themselves.
    """

    def __init__(self, feed: Feed) -> None:
        self.mended = ""
        self.ended = False
        self.needed_at: int | None = None
        self._feed = feed
        self._passed = 0
        self._components = 0

    def parts(self) -> Iterator[Part]:
        """The file, once. Blocking."""
        for part in self._cut():
            self._passed += len(part.data)
            yield part

    def _cut(self) -> Iterator[Part]:
        yield Part(self._exactly(2))
        while len(start := self._feed.peek(4)) == 4 and start[0] == 0xFF:
            marker = start[1]
            if marker == _FILL or marker in _ALONE:
                yield Part(self._exactly(1 if marker == _FILL else 2))
            elif start[:2] == _EOI:
                break
            else:
                segment = self._exactly(2 + int.from_bytes(start[2:], "big"))
                yield Part(self._set_right(segment))
                if marker == _SOS:
                    yield from self._scan(segment)
                    break
        yield from plain_parts(self._feed)

    def _scan(self, start: bytes) -> Iterator[Part]:
        """What follows the first start of scan, up to and with the end of the picture.

        A marker's two bytes cannot be in a scan's data, so that the first pair is the end.
        """
        # Behind a scan that others follow, libjpeg itself misses nothing.
        last = 0 < self._components == start[4]
        held = b""
        while part := self._feed.read(_PART_BYTES):
            data = b"".join((held, part))
            if found := _END.search(data):
                self.ended = True
                yield from self._ending(data, found.start()) if last else (Part(data),)
                return
            held = data[-_HELD_BYTES:]
            yield Part(memoryview(data)[: len(data) - len(held)])
        yield Part(held)

    def _ending(self, data: bytes, end: int) -> Iterator[Part]:
        needed = len(data[:end].rstrip(_FILLING)) - 1
        if needed < 1:
            yield Part(data)
            return
        self.needed_at = self._passed + needed
        yield Part(memoryview(data)[:needed], apart=True)
        yield Part(memoryview(data)[needed:])

    def _set_right(self, segment: bytes) -> bytes:
        """The segment without what libjpeg would warn of though it makes no difference."""
        marker = segment[1]
        if marker in _SEQUENTIAL and len(segment) > 9:
            self._components = segment[9]
        elif marker == _SOS and self._components and segment[-3:] != _WHOLE_SCAN:
            self._tell("the parameters of its scan are wrong")
            return segment[:-3] + _WHOLE_SCAN
        elif marker == _APP0 and segment[4:9] == b"JFIF\x00" and segment[9:10] not in (b"", b"\1"):
            self._tell(f"its JFIF version {segment[9]} is unknown")
            return segment[:9] + b"\x01" + segment[10:]
        return segment

    def _tell(self, what: str) -> None:
        self.mended = f"{self.mended}; {what}" if self.mended else what

    def _exactly(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        found: list[bytes] = []
        while size and (part := self._feed.read(size)):
            found.append(bytes(part))
            size -= len(part)
        return b"".join(found)
