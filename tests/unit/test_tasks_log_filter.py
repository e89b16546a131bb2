"""log:filter: lines across chunks, its conditions, and what it does not let a pattern do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import TaskError
from tasks.text.levels import LevelFilter
from tasks.text.lines import lines
from tasks.text.matching import Matcher
from tasks.trying import MemoryStream, run_stream
from tests.unit.streaming import bytes_of, peak_bytes, recut
from tests.waiting import wait_until

MIB = 1024 * 1024
LOG = b"""\
2026-11-20 12:00:00 INFO started
2026-11-20 12:00:01 ERROR no answer
Traceback (most recent call last):
  ValueError: 7
2026-11-20 12:00:02 DEBUG ok
"""


def _kept(input: dict[str, Any], text: bytes = LOG) -> list[bytes]:
    return bytes_of("log:filter", input, [text]).splitlines()


def _numbers(input: dict[str, Any]) -> list[int]:
    return [LOG.splitlines().index(line) for line in _kept(input)]


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"x", b"\n")), max_size=20))
def test_lines_are_whole_however_the_stream_is_cut(chunks: list[bytes]) -> None:
    found = [line for batch in lines(chunks) for line in batch]
    text = b"".join(chunks)
    assert b"".join(found) == text
    assert found == re.findall(rb"[^\n]*\n|[^\n]+", text)


@given(st.text("ab\n\r"), st.integers(1, 5), st.booleans())
def test_what_is_kept_does_not_depend_on_the_chunks(text: str, length: int, invert: bool) -> None:
    data, input = text.encode(), {"contains": "a", "invert": invert}
    expected = [line for line in data.split(b"\n") if (b"a" in line) is not invert]
    written, counts = run_stream("log:filter", input, recut(data, length))
    kept = b"".join(written)
    assert [line for line in kept.split(b"\n") if line] == [line for line in expected if line]
    assert counts["lines_out"] == len(re.findall(rb"[^\n]*\n|[^\n]+", kept))
    assert counts["lines_in"] == len(re.findall(rb"[^\n]*\n|[^\n]+", data))


@pytest.mark.parametrize(
    ("input", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"contains": "ValueError"}, [3]),
        ({"contains": ["started", "ok"]}, [0, 4]),
        ({"contains": ["started", "ok"], "matches": "INFO"}, [0]),
        ({"matches": r"\d\d:0[12]"}, [1, 4]),
        ({"matches": r":0[12] \w+ \w+$"}, [4]),
        ({"matches": r"^2026.*(answer|ok)$"}, [1, 4]),
        ({"level": "error"}, [1, 2, 3]),
        ({"level": "Debug"}, [0, 1, 2, 3, 4]),
        ({"level": "info", "invert": True}, [4]),
        ({"limit": 2}, [0, 1]),
        ({"limit": 0}, []),
        ({"level": "error", "contains": "a", "limit": 1}, [1]),
        ({"contains": None, "matches": None, "level": None, "limit": None}, [0, 1, 2, 3, 4]),
    ],
)
def test_a_line_is_kept_that_meets_every_condition(
    input: dict[str, Any], numbers: list[int]
) -> None:
    assert _numbers(input) == numbers


def test_lines_beyond_the_limit_are_counted_all_the_same() -> None:
    written, counts = run_stream("log:filter", {"limit": 3}, [b"a\nb\n", b"c\nd\n", b"e\n"])
    assert (written, counts) == ([b"a\nb\n", b"c\n"], {"lines_in": 5, "lines_out": 3})


def test_what_a_chunk_holds_is_written_before_the_next_is_read() -> None:
    seen: list[int] = []

    def source() -> Any:
        for data in (b"hit 1\nno", b"\nhit 2\n", b"no\n"):
            yield data
            seen.append(len(context.written))

    context = MemoryStream()
    run_stream("log:filter", {"contains": "hit"}, source(), context)
    assert seen == [1, 2, 2]


@pytest.mark.parametrize(
    ("line", "severe"),
    [
        (b"2026-11-20 WARN disk", True),
        (b"WARNING:root:disk", True),
        (b"[error] 7#7: open() failed", True),
        (b"<crit> all is lost", True),
        (b'{"error": null, "level": "info"}', False),
        (b'{"level": "ERROR", "msg": "x"}', True),
        (b"ts=1 level=warn msg=INFO", True),
        (b"severity : alert", True),
        (b"INFO no ERROR found", False),
        (b"GET /errors/fatal 200", False),
        (b"PREWARNED", False),
        (b"x" * 5000 + b" ERROR", False),
    ],
)
def test_a_level_is_found_where_logs_have_it(line: bytes, severe: bool) -> None:
    assert LevelFilter("warn")([line]) == [severe]


def test_a_pattern_sees_text_without_line_ends_and_bears_any_bytes() -> None:
    text = "größe\r\n".encode() + b"\xff\xfe\n" + b"last"
    assert _kept({"matches": r"^gr\w+e$"}, text) == ["größe".encode()]
    assert _kept({"matches": "\ufffd"}, text) == [b"\xff\xfe"]
    assert _kept({"matches": "st$"}, text) == [b"last"]


@pytest.mark.parametrize("pattern", ["(", "a" * 1001, "(?P<n>a)(?P<n>b)", "*"])
def test_what_is_no_pattern_is_an_invalid_argument(pattern: str) -> None:
    with pytest.raises(TaskError, match="matches") as caught:
        run_stream("log:filter", {"matches": pattern})
    assert caught.value.code == "FC.InvalidArgument"
    assert "\n" not in caught.value.cause


def test_a_pattern_that_runs_away_ends_with_a_plain_error_and_leaves_the_interpreter_free() -> None:
    with Matcher("(a+)+$") as matcher:
        assert matcher([b"aaa\n", b"b\n"]) == [True, False]
        began = time.process_time()
        with pytest.raises(TaskError, match=r"\(a\+\)\+") as caught:
            matcher([b"a" * 60 + b"b"])
        process = matcher._process
    assert caught.value.code == "PatternTooSlow"
    assert process.returncode is not None
    # It was another process that has searched for seconds.
    assert time.process_time() - began < 1


def test_the_searching_process_ends_with_the_task_that_started_it() -> None:
    with pytest.raises(KeyError), Matcher("a") as matcher:
        raise KeyError
    assert matcher._process.returncode is not None


def test_the_searching_process_ends_when_its_worker_is_killed() -> None:
    code = (
        "import os, signal\n"
        "from tasks.text.matching import Matcher\n"
        "matcher = Matcher('a').__enter__()\n"
        "print(matcher._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    pid = int(killed.stdout)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(gone)


def test_a_line_that_is_too_long_is_told_by_its_number() -> None:
    input = {"maxLineBytes": 5}
    assert _kept(input, b"1234\n12345") == [b"1234", b"12345"]
    for text in (b"1\n2\n123456\n", b"1\n2\n123456"):
        with pytest.raises(TaskError, match="line 3 .*maxLineBytes") as caught:
            bytes_of("log:filter", input, recut(text, 2))
        assert caught.value.code == "LineTooLong"


@pytest.mark.parametrize(
    "input", [{"level": "loud"}, {"limit": -1}, {"contains": 7}, {"maxLineBytes": 0}]
)
def test_an_input_that_does_not_fit_is_an_invalid_argument(input: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match=next(iter(input))) as caught:
        run_stream("log:filter", input)
    assert caught.value.code == "FC.InvalidArgument"


def test_a_long_log_takes_memory_for_a_few_chunks() -> None:
    chunk = LOG * (200_000 // len(LOG))
    peak = peak_bytes(
        lambda ctx: run_stream("log:filter", {"contains": "INFO"}, (chunk for _ in range(100)), ctx)
    )
    assert peak < 4 * MIB


def test_a_long_line_in_small_chunks_takes_no_more_time_than_its_length() -> None:
    began = time.process_time()
    input = {"maxLineBytes": 16 * MIB}
    counts = run_stream("log:filter", input, (b"x" * 64 for _ in range(150_000)))[1]
    assert counts == {"lines_in": 1, "lines_out": 1}
    assert time.process_time() - began < 5
