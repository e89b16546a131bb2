"""Encryption as a stream task: what is refused, what is repeated, and what never repeats."""

from __future__ import annotations

import base64
import random
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.bytes.sealing import FRAME_BYTES, HEADER_BYTES, MAX_FRAME_BYTES, TAG_BYTES
from tasks.errors import TaskError
from tasks.trying import MemoryStream, run_stream
from tests.unit.streaming import bytes_of, chunkings, peak_bytes, recut

VARIABLE = "PENSTOCK_STREAM_KEY_TEST"
INPUT = {"keyVariable": VARIABLE}
KEY = random.Random(1).randbytes(32)
MIB = 1024 * 1024
SEALED_BYTES = FRAME_BYTES + TAG_BYTES

# The key is the same for every example.
keyed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(VARIABLE, base64.b64encode(KEY).decode())
    yield


def _noise(length: int, seed: int = 2) -> bytes:
    return random.Random(seed).randbytes(length)


def _encrypted(data: bytes, key: str = "") -> bytes:
    return bytes_of("bytes:encrypt", INPUT, recut(data, 100_000), key)


def _frames(encrypted: bytes) -> list[bytes]:
    return recut(encrypted[HEADER_BYTES:], SEALED_BYTES)


def _refusal(encrypted: bytes) -> str:
    with pytest.raises(TaskError) as caught:
        bytes_of("bytes:decrypt", INPUT, recut(encrypted, 50_000))
    assert caught.value.code == "InvalidData"
    return caught.value.cause


@keyed
@given(chunkings(), st.integers(1, 600))
def test_what_was_encrypted_is_decrypted_to_the_same_bytes(
    chunks: list[bytes], length: int
) -> None:
    encrypted = bytes_of("bytes:encrypt", INPUT, chunks)
    assert bytes_of("bytes:decrypt", INPUT, recut(encrypted, length)) == b"".join(chunks)


@pytest.mark.parametrize("length", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1])
@pytest.mark.parametrize("full_frames", [0, 2])
def test_frames_are_full_but_for_the_last(full_frames: int, length: int) -> None:
    data = _noise(full_frames * FRAME_BYTES + length)
    chunks, sizes = run_stream("bytes:encrypt", INPUT, recut(data, 77_777))
    assert [len(chunk) for chunk in chunks[1:-1]] == [SEALED_BYTES] * (len(chunks) - 2)
    assert sizes == {"bytesIn": len(data), "bytesOut": sum(map(len, chunks))}
    decrypted, sizes = run_stream("bytes:decrypt", INPUT, chunks)
    assert b"".join(decrypted) == data
    assert sizes["bytesOut"] == len(data)


@keyed
@given(st.data())
def test_a_flipped_bit_is_refused_wherever_it_is(data: st.DataObject) -> None:
    encrypted = bytearray(_encrypted(b"some plain text"))
    encrypted[data.draw(st.integers(0, len(encrypted) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _refusal(bytes(encrypted))


def test_a_flipped_bit_in_any_frame_is_refused() -> None:
    encrypted = _encrypted(_noise(3 * FRAME_BYTES + 5))
    for place in range(HEADER_BYTES, len(encrypted), SEALED_BYTES // 2):
        changed = bytearray(encrypted)
        changed[place] ^= 0x80
        _refusal(bytes(changed))


def test_a_stream_that_is_cut_off_is_refused_wherever_it_ends() -> None:
    short = _encrypted(b"some plain text")
    for end in range(len(short)):
        _refusal(short[:end])
    long = _encrypted(_noise(3 * FRAME_BYTES + 5))
    for frames in range(4):
        for beyond in (0, 1, TAG_BYTES, TAG_BYTES + 1):
            _refusal(long[: HEADER_BYTES + frames * SEALED_BYTES + beyond])


def test_frames_that_are_exchanged_left_out_doubled_or_added_are_refused() -> None:
    encrypted = _encrypted(_noise(3 * FRAME_BYTES + 5))
    header, frames = encrypted[:HEADER_BYTES], _frames(encrypted)
    orders = ([1, 0, 2, 3], [0, 2, 3], [0, 1, 1, 2, 3], [0, 1, 2, 3, 3], [3], [0, 1, 3])
    for order in orders:
        _refusal(header + b"".join(frames[number] for number in order))
    _refusal(encrypted + b"x")
    _refusal(encrypted + encrypted)


def test_two_streams_with_one_salt_cannot_be_mixed() -> None:
    one, other = _noise(3 * FRAME_BYTES, seed=3), _noise(3 * FRAME_BYTES, seed=4)
    first, second = _encrypted(one, "visit"), _encrypted(other, "visit")
    assert first[:HEADER_BYTES] == second[:HEADER_BYTES]
    mixed = [first[:HEADER_BYTES], _frames(first)[0], *_frames(second)[1:]]
    assert "frame 2 " in _refusal(b"".join(mixed))


def test_the_same_visit_of_a_step_writes_the_same_chunks_again() -> None:
    data = _noise(FRAME_BYTES + 5)
    assert _encrypted(data, "visit") == _encrypted(data, "visit")


def test_any_other_visit_stage_or_plain_call_shares_nothing() -> None:
    data = bytes(1000)
    contexts = [
        MemoryStream(idempotency_key="visit", step="s/one"),
        MemoryStream(idempotency_key="visit", step="s/two"),
        MemoryStream(idempotency_key="visit", execution="e"),
        MemoryStream(idempotency_key="other"),
        MemoryStream(),
        MemoryStream(),
    ]
    found = [b"".join(run_stream("bytes:encrypt", INPUT, [data], c)[0]) for c in contexts]
    assert len({encrypted[:HEADER_BYTES] for encrypted in found}) == len(found)
    assert len({encrypted[HEADER_BYTES:] for encrypted in found}) == len(found)


def test_a_visit_that_is_repeated_with_other_bytes_gives_nothing_of_them_away() -> None:
    same, one, other = _noise(FRAME_BYTES), bytes(FRAME_BYTES), b"\1" * FRAME_BYTES
    first = _frames(_encrypted(same + one, "visit"))
    second = _frames(_encrypted(same + other, "visit"))
    # The frame that is equal shows that it is: the price of writing the same bytes again.
    assert first[0] == second[0]
    mixed = bytes(a ^ b for a, b in zip(first[1][:-TAG_BYTES], second[1][:-TAG_BYTES], strict=True))
    # One key stream used twice would leave the difference of the two plaintexts, \1 everywhere.
    assert mixed.count(1) < FRAME_BYTES // 100


def test_another_key_is_told_apart_from_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted = _encrypted(b"text")
    monkeypatch.setenv(VARIABLE, _noise(32).hex())
    assert "another key" in _refusal(encrypted)


def test_what_was_never_encrypted_is_told_so() -> None:
    for text in (b"", b"plain", b"plain text that is longer than any header " * 10):
        assert "no stream that bytes:encrypt has written" in _refusal(text)
    greedy = bytearray(_encrypted(b"text"))
    greedy[8:12] = (MAX_FRAME_BYTES + 1).to_bytes(4, "big")
    assert str(MAX_FRAME_BYTES) in _refusal(bytes(greedy))


def test_a_key_is_read_as_base64_or_hexadecimal(monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted = _encrypted(b"text")
    for text in (KEY.hex(), KEY.hex().upper(), f" {base64.b64encode(KEY).decode()}\n"):
        monkeypatch.setenv(VARIABLE, text)
        assert bytes_of("bytes:decrypt", INPUT, [encrypted]) == b"text"


@pytest.mark.parametrize(
    "variable",
    ["PATH", "AWS_SECRET_ACCESS_KEY", "PENSTOCK_REDIS_URL", "penstock_stream_key_test", ""],
)
def test_a_flow_can_name_keys_only(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable or "UNUSED", KEY.hex())
    for name in ("bytes:encrypt", "bytes:decrypt"):
        with pytest.raises(TaskError, match="PENSTOCK_STREAM_KEY_") as caught:
            run_stream(name, {"keyVariable": variable})
        assert caught.value.code == "FC.InvalidArgument"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "MissingKey"),
        ("secret", "InvalidKey"),
        ("ab" * 16, "InvalidKey"),
        ("zz" * 32, "InvalidKey"),
    ],
)
def test_what_is_no_key_is_told_by_its_variable_alone(
    monkeypatch: pytest.MonkeyPatch, text: str, code: str
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(TaskError, match=VARIABLE) as caught:
        run_stream("bytes:encrypt", INPUT)
    assert caught.value.code == code
    assert not text or text not in str(caught.value)


def test_a_long_stream_takes_memory_for_a_few_frames() -> None:
    noise = random.Random(5)
    source = (noise.randbytes(MIB) for _ in range(30))
    assert peak_bytes(lambda ctx: run_stream("bytes:encrypt", INPUT, source, ctx)) < 8 * MIB
    encrypted = recut(_encrypted(_noise(20 * MIB)), MIB)
    assert peak_bytes(lambda ctx: run_stream("bytes:decrypt", INPUT, encrypted, ctx)) < 8 * MIB


def test_a_library_that_is_not_installed_is_told_by_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hashes", None)
    with pytest.raises(TaskError, match=r"penstock\[crypto\]") as caught:
        run_stream("bytes:encrypt", INPUT)
    assert caught.value.code == "MissingExtra"
