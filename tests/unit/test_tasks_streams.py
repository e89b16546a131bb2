"""The stream side of tasks: chunks, the context outside of a stream, trying, statelessness."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks import Chunk, TaskContext, registry
from tasks.errors import TaskError
from tasks.trying import MemoryStream, run_stream


def _upper(input: dict[str, Any], ctx: TaskContext) -> dict[str, int]:
    chunks = 0
    for chunk in ctx.read():
        chunks += 1
        ctx.write(chunk.upper(), chunk.headers | {"seq": str(chunk.seq)})
    return {"chunks": chunks}


def test_a_chunk_is_bytes_with_a_place_and_headers() -> None:
    chunk = Chunk(b"abc", 3, {"kind": "text"})
    assert chunk == b"abc" and hash(chunk) == hash(b"abc")
    assert (chunk.seq, chunk.headers) == (3, {"kind": "text"})
    assert Chunk(memoryview(b"abc")).headers == {}
    copied = pickle.loads(pickle.dumps(chunk))
    assert (copied, copied.seq, copied.headers) == (b"abc", 3, {"kind": "text"})


def test_a_chunk_keeps_nothing_of_what_it_was_made_of() -> None:
    data, headers = bytearray(b"abc"), {"kind": "text"}
    chunk = Chunk(data, headers=headers)
    data[0], headers["kind"] = 0, "other"
    assert (chunk, chunk.headers) == (b"abc", {"kind": "text"})


def test_outside_of_a_stream_reading_and_writing_tell_the_way_out() -> None:
    ctx = TaskContext(step="shrink")
    for call in (ctx.read, lambda: ctx.write(b"x")):
        with pytest.raises(TaskError, match="type: stream.*'shrink'.*run_stream") as caught:
            call()
        assert caught.value.code == "NotInStream"


def test_a_stream_task_is_tried_on_chunks_in_memory() -> None:
    source = [b"ab", Chunk(b"cd", headers={"kind": "text"})]
    written, result = run_stream(_upper, chunks=source)
    assert written == [b"AB", b"CD"]
    assert [chunk.headers for chunk in written] == [{"seq": "1"}, {"kind": "text", "seq": "2"}]
    assert [chunk.seq for chunk in written] == [1, 2]
    assert result == {"chunks": 2}


def test_reading_again_goes_on_where_it_stopped() -> None:
    def two_reads(input: dict[str, Any], ctx: TaskContext) -> list[bytes]:
        first = next(ctx.read())
        return [first, *ctx.read()]

    assert run_stream(two_reads, chunks=[b"1", b"2", b"3"])[1] == [b"1", b"2", b"3"]


def test_a_chunk_that_is_passed_on_keeps_its_headers_unless_others_are_given() -> None:
    def pass_on(input: dict[str, Any], ctx: TaskContext) -> None:
        for chunk in ctx.read():
            ctx.write(chunk)
            ctx.write(chunk, {})

    written, _ = run_stream(pass_on, chunks=[Chunk(b"a", headers={"k": "v"})])
    assert [chunk.headers for chunk in written] == [{"k": "v"}, {}]


def test_what_no_stream_can_carry_is_refused() -> None:
    ctx = MemoryStream()
    data: Any
    headers: Any
    for data, headers in (("text", None), (None, None), (b"x", {"n": 1}), (b"x", {1: "n"})):
        with pytest.raises(TypeError):
            ctx.write(data, headers)
    assert ctx.written == []


def test_each_trial_has_an_idempotency_key_of_its_own_unless_one_is_given() -> None:
    def key(input: dict[str, Any], ctx: TaskContext) -> str:
        return ctx.idempotency_key

    assert run_stream(key)[1] != run_stream(key)[1] != ""
    assert run_stream(key, context=MemoryStream(idempotency_key="k"))[1] == "k"


def test_a_registered_stream_task_is_tried_by_its_name() -> None:
    tasks.task("streams:upper", stream=True)(_upper)
    tasks.task("streams:plain")(lambda input: None)
    assert run_stream("streams:upper", {}, [b"a"])[0] == [b"A"]
    with pytest.raises(TaskError, match="stream=True") as caught:
        run_stream("streams:plain")
    assert caught.value.code == "FC.InvalidArgument"
    with pytest.raises(TaskError, match="streams:nobody") as caught:
        run_stream("streams:nobody")
    assert caught.value.code == "FC.FunctionNotFound"


def test_statelessness_may_depend_on_the_input() -> None:
    tasks.task("streams:depends", stream=True, stateless=lambda input: "scale" not in input)(_upper)
    tasks.task("streams:always", stream=True, stateless=True)(_upper)
    tasks.task("streams:never", stream=True)(_upper)
    answers = {
        name: [task.is_stateless(input) for input in ({}, {"scale": 2})]
        for name in ("streams:depends", "streams:always", "streams:never")
        if (task := registry.find([name]))
    }
    assert answers == {
        "streams:depends": [True, False],
        "streams:always": [True, True],
        "streams:never": [False, False],
    }


def test_an_async_stream_task_is_refused() -> None:
    async def later(input: dict[str, Any], ctx: TaskContext) -> None: ...

    with pytest.raises(TypeError, match=r"later .* is async"):
        tasks.task("streams:async", stream=True)(later)
    assert registry.find(["streams:async"]) is None


def test_the_page_on_stream_tasks_has_those_of_bytes_and_lines_and_its_example_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    tasks.shipped()
    names = [name for name in registry.tasks() if name.startswith(("bytes:", "log:"))]
    assert len(names) == 9
    assert [name for name in names if f"`{name}`" not in page] == []
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), {})
