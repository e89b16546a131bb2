"""gzip and zstd as stream tasks: what others read and write, and what is damaged."""

from __future__ import annotations

import gzip
import random
import sys
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tasks import registry
from tasks.chunk import CHUNK_BYTES
from tasks.errors import TaskError
from tasks.trying import run_stream
from tests.unit.streaming import bytes_of, chunkings, peak_bytes, recut

PAIRS = (("bytes:gzip", "bytes:gunzip"), ("bytes:zstd", "bytes:unzstd"))
MIB = 1024 * 1024

pairs = pytest.mark.parametrize(("pack", "unpack"), PAIRS)
formats = st.tuples(st.sampled_from(PAIRS), st.booleans(), st.integers(1, 9))


def _others_pack(name: str, data: bytes) -> bytes:
    return gzip.compress(data) if "gzip" in name else zstandard.ZstdCompressor().compress(data)


@given(chunkings(), formats, st.integers(1, 600))
def test_what_was_packed_is_unpacked_to_the_same_bytes(
    chunks: list[bytes], form: tuple[tuple[str, str], bool, int], length: int
) -> None:
    (pack, unpack), per_chunk, level = form
    packed = bytes_of(pack, {"perChunk": per_chunk, "level": level}, chunks)
    assert bytes_of(unpack, {}, recut(packed, length)) == b"".join(chunks)


@given(chunkings())
def test_the_same_chunks_give_the_same_chunks_again(chunks: list[bytes]) -> None:
    for pack, _ in PAIRS:
        assert run_stream(pack, {}, chunks) == run_stream(pack, {}, chunks)


@given(chunkings())
def test_with_per_chunk_each_chunk_stands_for_itself(chunks: list[bytes]) -> None:
    for pack, _ in PAIRS:
        alone = [run_stream(pack, {"perChunk": True}, [chunk])[0] for chunk in chunks]
        assert run_stream(pack, {"perChunk": True}, chunks)[0] == sum(alone, [])
        task = registry.find([pack])
        assert task is not None
        assert task.is_stateless({"perChunk": True}) and not task.is_stateless({})


def test_others_read_what_is_written_here() -> None:
    data = random.Random(1).randbytes(1000) * 2000
    assert gzip.decompress(bytes_of("bytes:gzip", {}, recut(data, 70_000))) == data
    packed = bytes_of("bytes:zstd", {"level": 9}, recut(data, 70_000))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == data


@pairs
def test_what_others_have_written_in_several_pieces_is_read(pack: str, unpack: str) -> None:
    packed = b"".join(_others_pack(pack, part) for part in (b"one ", b"", b"two"))
    for length in (1, 3, 1000):
        assert bytes_of(unpack, {}, recut(packed, length)) == b"one two"
    assert bytes_of(unpack, {}, []) == b""


def test_zeros_behind_a_gzip_are_no_data() -> None:
    packed = gzip.compress(b"tape") + bytes(600)
    assert bytes_of("bytes:gunzip", {}, recut(packed, 100)) == b"tape"
    with pytest.raises(TaskError):
        bytes_of("bytes:gunzip", {}, [b"\0", packed])


@pairs
def test_an_early_end_is_noticed_wherever_it_is(pack: str, unpack: str) -> None:
    packed = bytes_of(pack, {}, [b"some text, " * 20])
    for end in range(1, len(packed)):
        with pytest.raises(TaskError) as caught:
            bytes_of(unpack, {}, recut(packed[:end], 7))
        assert caught.value.code == "InvalidData"


@pairs
def test_a_flipped_bit_is_noticed(pack: str, unpack: str) -> None:
    packed = bytearray(bytes_of(pack, {}, [random.Random(2).randbytes(300)]))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(TaskError) as caught:
        bytes_of(unpack, {}, [bytes(packed)])
    assert caught.value.code == "InvalidData"
    assert "\n" not in caught.value.cause


@pairs
@pytest.mark.parametrize("junk", [b"plain text", b"\x1f", b"\x28\xb5\x2f\xfd\xff\xff\xff"])
def test_what_was_not_packed_is_told_so(pack: str, unpack: str, junk: bytes) -> None:
    with pytest.raises(TaskError, match=unpack) as caught:
        bytes_of(unpack, {}, [junk])
    assert caught.value.code == "InvalidData"
    with pytest.raises(TaskError):
        bytes_of(unpack, {}, [_others_pack(pack, b"x"), junk])


@pairs
def test_a_few_bytes_that_stand_for_very_many_take_little_memory(pack: str, unpack: str) -> None:
    packed, _ = run_stream(pack, {}, (bytes(MIB) for _ in range(200)))
    found: dict[str, Any] = {}
    peak = peak_bytes(lambda ctx: found.update(run_stream(unpack, {}, packed, ctx)[1]))
    assert found["bytesOut"] == 200 * MIB
    assert peak < 40 * MIB


@pairs
def test_packing_takes_memory_for_a_few_chunks(pack: str, unpack: str) -> None:
    noise = random.Random(3)
    source = (noise.randbytes(MIB) for _ in range(30))
    assert peak_bytes(lambda ctx: run_stream(pack, {"level": 1}, source, ctx)) < 8 * MIB


def test_chunks_that_are_written_have_one_length() -> None:
    data = random.Random(4).randbytes(3 * CHUNK_BYTES)
    for pack, unpack in PAIRS:
        packed, sizes = run_stream(pack, {"level": 1}, recut(data, 100_000))
        assert [len(chunk) for chunk in packed[:-1]] == [CHUNK_BYTES] * 3
        assert sizes == {"bytesIn": len(data), "bytesOut": sum(map(len, packed))}
        unpacked, _ = run_stream(unpack, {}, packed)
        assert [len(chunk) for chunk in unpacked] == [CHUNK_BYTES] * 3


@pytest.mark.parametrize("input", [{"level": 0}, {"level": 99}, {"level": "x"}])
@pairs
def test_a_level_that_is_none_is_an_invalid_argument(
    pack: str, unpack: str, input: dict[str, Any]
) -> None:
    with pytest.raises(TaskError, match="level") as caught:
        run_stream(pack, input)
    assert caught.value.code == "FC.InvalidArgument"
    assert run_stream(pack, {"level": None, "other": 1})[1]["bytesIn"] == 0


@pytest.mark.parametrize("name", ["bytes:zstd", "bytes:unzstd"])
def test_a_library_that_is_not_installed_is_told_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(TaskError, match=rf"{name} .*penstock\[zstd\]") as caught:
        run_stream(name)
    assert caught.value.code == "MissingExtra"
