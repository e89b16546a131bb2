"""The sealed form: an encrypted stream in frames that notices any change, and its end missing.

    header   magic (8 bytes) · frame size (4, big-endian) · salt (32) · check (32)
    frame    up to frame size bytes, encrypted, and their tag (16); all but the last are full

Two values come from the key and the header's beginning by HKDF-SHA256: the key of this stream, and
`check`, which tells a wrong key from a damaged stream. Frames are AES-256-GCM-SIV (RFC 8452). The
nonce is the frame's number (11 bytes, from 0) and 1 for the last frame, 0 for others: frames cannot
change places, and a stream that is cut off has no last one. The tag of the frame before (the check,
for the first) is authenticated along, so that streams under one salt cannot be mixed.

Why GCM-SIV: a stream that is taken over must be encrypted to the same bytes again, so the salt
comes from the key and a label. A retry has the same label, but its source may have changed since.
Under AES-GCM this would be one nonce for two plaintexts, which gives both and the authentication
away; here it tells no more than up to which frame the two are equal.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator
from typing import Any

from tasks.chunk import CHUNK_BYTES
from tasks.errors import INVALID_DATA, MISSING_EXTRA, TaskError
from tasks.extras import load_extra

MAGIC = b"PENSTKE1"
SALT_BYTES = 32
CHECK_BYTES = 32
TAG_BYTES = 16
HEADER_BYTES = len(MAGIC) + 4 + SALT_BYTES + CHECK_BYTES
FRAME_BYTES = CHUNK_BYTES - TAG_BYTES
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""The largest frames that are read: each is held in memory as a whole."""

_NONCE_COUNTER_BYTES = 11
_CRYPTOGRAPHY = "cryptography"


class Seal:
    """The cipher of one stream: seals or opens its frames in order.

    Raises:
        TaskError: `MissingExtra`, no cryptography with AES-GCM-SIV is installed.
    """

    def __init__(self, key: bytes, salt: bytes, frame_bytes: int) -> None:
        begin = MAGIC + frame_bytes.to_bytes(4, "big") + salt
        derived = _derive(key, salt, b"penstock stream key" + begin, 32 + CHECK_BYTES)
        self._cipher = _cipher(derived[:32])
        self.check = derived[32:]
        self.header = begin + self.check
        self._before = self.check
        self._number = 0

    def seal(self, data: bytes, last: bool) -> bytes:
        """The next frame."""
        frame: bytes = self._cipher.encrypt(self._nonce(last), data, self._before)
        self._next(frame)
        return frame

    def open(self, frame: bytes, last: bool) -> bytes:
        """What the next frame holds. TaskError: InvalidData, it is not what was sealed."""
        try:
            data: bytes = self._cipher.decrypt(self._nonce(last), frame, self._before)
        except _invalid_tag() as error:
            raise TaskError(
                INVALID_DATA,
                f"frame {self._number + 1} was changed or moved, or the input ends early",
            ) from error
        self._next(frame)
        return data

    def _nonce(self, last: bool) -> bytes:
        return self._number.to_bytes(_NONCE_COUNTER_BYTES, "big") + bytes([last])

    def _next(self, frame: bytes) -> None:
        self._before = frame[-TAG_BYTES:]
        self._number += 1


def new_seal(key: bytes, label: bytes) -> Seal:
    """A seal for a stream to come: the same for the same key and label; b"" is never the same."""
    if label:
        salt = _derive(key, b"", b"penstock stream salt" + label, SALT_BYTES)
    else:
        salt = os.urandom(SALT_BYTES)
    return Seal(key, salt, FRAME_BYTES)


def seal_of(header: bytes, key: bytes) -> tuple[Seal, int]:
    """The seal of a stream that begins with `header`, and the size of its full frames with tag.

    Raises:
        TaskError: `InvalidData`, it is none, was changed, or has another key.
    """
    size = int.from_bytes(header[len(MAGIC) : len(MAGIC) + 4], "big")
    if not header.startswith(MAGIC) or len(header) != HEADER_BYTES:
        raise TaskError(INVALID_DATA, "the input is no stream that bytes:encrypt has written")
    if not 0 < size <= MAX_FRAME_BYTES:
        raise TaskError(INVALID_DATA, f"frames of {size} bytes: at most {MAX_FRAME_BYTES}")
    seal = Seal(key, header[len(MAGIC) + 4 : -CHECK_BYTES], size)
    if not hmac.compare_digest(seal.check, header[-CHECK_BYTES:]):
        raise TaskError(INVALID_DATA, "encrypted with another key, or its header was changed")
    return seal, size + TAG_BYTES


class LastKnown:
    """Hands frames on one by one, and says of the last one that it is the last.

    Args:
        use: Takes a frame and whether it is the last.
    """

    def __init__(self, use: Callable[[bytes, bool], object]) -> None:
        self._use = use
        self._held: bytes | None = None

    def add(self, frame: bytes) -> None:
        """Takes a frame; the one before it was not the last."""
        if self._held is not None:
            self._use(self._held, False)
        self._held = frame

    def end(self) -> None:
        """The frame that was added last was the last; an empty one, if there was none."""
        self._use(self._held or b"", True)


def split_header(chunks: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The header at the beginning of `chunks`, and what came along behind it."""
    begin = bytearray()
    for chunk in chunks:
        begin += chunk
        if len(begin) >= HEADER_BYTES:
            break
    return bytes(begin[:HEADER_BYTES]), bytes(begin[HEADER_BYTES:])


def _derive(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    hashes = _load("hazmat.primitives.hashes")
    kdf = _load("hazmat.primitives.kdf.hkdf")
    derived: bytes = kdf.HKDF(hashes.SHA256(), length, salt, info).derive(key)
    return derived


def _cipher(key: bytes) -> Any:
    try:
        return _load("hazmat.primitives.ciphers.aead").AESGCMSIV(key)
    except (AttributeError, _load("exceptions").UnsupportedAlgorithm) as error:
        raise TaskError(
            MISSING_EXTRA, "AES-GCM-SIV needs cryptography 42 or later with OpenSSL 3.2 or later"
        ) from error


def _invalid_tag() -> type[Exception]:
    found: type[Exception] = _load("exceptions").InvalidTag
    return found


def _load(module: str) -> Any:
    return load_extra(f"{_CRYPTOGRAPHY}.{module}", "crypto", "encryption")
