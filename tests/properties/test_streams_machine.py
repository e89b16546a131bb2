"""An edge against its model: whatever its ends do in whatever order, nothing is lost or doubled.

A machine of Hypothesis writes, reads and commits; ends die and are replaced, replaced ends come
back late, answers get lost, and in the end the edge is deleted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from streams.chunk import Mark
from streams.edge import Edge
from streams.ends import ENTRY_WEIGHT
from streams.errors import StreamCancelled, StreamError, StreamFenced, StreamIdle
from streams.reader import StreamReader
from streams.spool import Spool
from streams.stop import Stop
from streams.writer import StreamWriter
from tests.edges import KEY, binary, rings

WINDOW = 20_000
WAYS = ("redis", "shared", "may_share")
SIZES = (0, 1, 3000, 5000, 9000, 30_000)
MACHINE = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
Written = bytes | None
"""A chunk, or a mark."""


class EdgeMachine(RuleBasedStateMachine):
    """One edge, one writer and one reader at a time, and those that were replaced."""

    client: Redis
    lossy: Redis

    def __init__(self) -> None:
        super().__init__()
        self.client.flushall()
        self.folder = Path(tempfile.mkdtemp(prefix="edge-machine-"))
        self.epoch = 0
        # What the edge was given, and how far its reader has come in it.
        self.given: list[Written] = []
        self.ended = False
        self.read = 0
        self.committed = 0
        self.out_seq = 0
        self.old_writers: list[StreamWriter] = []
        self.old_readers: list[StreamReader] = []

    @initialize(stateful=st.booleans(), way=st.sampled_from(WAYS), lossy=st.booleans())
    def create(self, stateful: bool, way: str, lossy: bool) -> None:
        self.stateful = stateful
        client = self.lossy if lossy else self.client
        self.edge = Edge(
            client,
            KEY,
            window_bytes=WINDOW,
            idle_s=0.005,
            shared=way == "shared",
            may_share=way == "may_share",
        )
        self.edge.create()
        self.rings = rings(self.client)
        self.writer, self.reader = self._new_writer(None), self._new_reader()

    def teardown(self) -> None:
        if hasattr(self, "edge"):
            self.edge.delete()
            for late in self._late_calls():
                with pytest.raises(StreamError):
                    late()
            with pytest.raises(StreamCancelled):
                self.reader.commit(0, out_seq=self.out_seq + 1)
                self.reader.flush()
            assert self.client.keys() == []
            assert self.rings() == 0
        shutil.rmtree(self.folder)

    @rule(sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=5))
    @precondition(lambda self: not self.ended)
    def write(self, sizes: list[int]) -> None:
        for size in sizes:
            payload = bytes([len(self.given) % 256]) * size
            self._put(payload, partial(self.writer.write, payload, _headers(payload)))

    @rule()
    @precondition(lambda self: not self.ended)
    def mark(self) -> None:
        self._put(None, self.writer.mark)

    @rule(really=st.integers(0, 9))
    def end(self, really: int) -> None:
        """Not too often: most happens before."""
        if really == 0 or self.ended:
            self.writer.end()
            self.ended = True

    @rule(count=st.integers(1, 5))
    def read_some(self, count: int) -> None:
        entries = self.reader.entries()
        for _ in range(count):
            if self.read == len(self.given):
                self._nothing_comes()
                return
            self._check(next(entries))

    @rule(back=st.integers(0, 3), told=st.booleans())
    def commit(self, back: int, told: bool) -> None:
        upto = max(self.read - back, 0)
        if told:
            self.out_seq = max(self.out_seq, 2 * upto)
        self.reader.commit(upto, out_seq=2 * upto if told else None)
        self.reader.flush()
        self.committed = max(self.committed, upto)
        if not self.stateful:
            assert self.edge.progress().read_seq == self.committed
        assert (self.edge.progress().out_seq or 0) == self.out_seq

    @rule(part=st.integers(0, 10))
    def writer_dies_and_replays(self, part: int) -> None:
        """The successor may die too, before it has come to the end."""
        self._replace_writer(None)
        for entry in self.given[: len(self.given) * part // 10]:
            self._write_again(entry)
        if part < 10:
            self._replace_writer(None)
            for entry in self.given:
                self._write_again(entry)
        assert self.writer.seq == len(self.given)

    @rule(back=st.integers(0, 4))
    def writer_dies_and_is_resumed(self, back: int) -> None:
        resume = max(len(self.given) - back, 0)
        self._replace_writer(resume)
        for entry in self.given[resume:]:
            self._write_again(entry)

    @rule()
    def reader_dies(self) -> None:
        self.old_readers.append(self.reader)
        self.reader = self._new_reader()
        self.read = 0 if self.stateful else self.committed

    @rule()
    @precondition(lambda self: bool(self.old_writers))
    def replaced_writer_comes_back(self) -> None:
        old = self.old_writers[-1]
        if old.seq >= len(self.given) and not self.ended:
            with pytest.raises((StreamFenced, StreamIdle)):
                old.write(b"too late")

    @rule()
    @precondition(lambda self: bool(self.old_readers))
    def replaced_reader_comes_back(self) -> None:
        with pytest.raises(StreamFenced):
            self.old_readers[-1].commit(0, out_seq=1_000_000)
            self.old_readers[-1].flush()

    @invariant()
    def outstanding_is_bounded(self) -> None:
        if not hasattr(self, "edge"):
            return
        entries: Any = self.client.xrange(KEY)
        data = [f for _, f in entries if f[b"h"][:1] in b"CSM"]
        held = self.given[len(self.given) - len(data) :]
        weight = sum(_weight(entry) for entry in held)
        assert weight <= WINDOW or len(held) == 1
        progress = self.edge.progress()
        assert progress.outstanding_bytes == weight
        assert progress.written_seq == len(self.given)
        assert progress.ended == self.ended
        assert all(0 < life <= 600 for life in map(self._life_s, self.client.keys()))  # type: ignore[arg-type]

    def _life_s(self, key: bytes) -> int:
        life: Any = self.client.ttl(key)
        return int(life)

    def _put(self, entry: Written, write: Callable[[], None]) -> None:
        before = self.edge.progress().outstanding_bytes
        fits = before + _weight(entry) <= WINDOW or before == 0
        try:
            write()
        except StreamIdle:
            assert not fits
        else:
            assert fits
            self.given.append(entry)

    def _write_again(self, entry: Written) -> None:
        if entry is None:
            self.writer.mark()
        else:
            self.writer.write(entry, _headers(entry))

    def _check(self, entry: Any) -> None:
        expected = self.given[self.read]
        self.read += 1
        assert entry.seq == self.read
        if expected is None:
            assert isinstance(entry, Mark)
        else:
            assert entry == expected
            assert entry.headers == _headers(expected)

    def _nothing_comes(self) -> None:
        if self.ended:
            assert next(self.reader.entries(), None) is None
        else:
            with pytest.raises(StreamIdle):
                next(self.reader.entries())

    def _new_writer(self, resume: int | None) -> StreamWriter:
        self.epoch += 1
        return self.edge.writer(self.epoch, Stop(), resume_seq=resume)

    def _replace_writer(self, resume: int | None) -> None:
        self.old_writers.append(self.writer)
        self.writer = self._new_writer(resume)

    def _new_reader(self) -> StreamReader:
        self.epoch += 1
        keep = Spool(self.folder, "input") if self.stateful else None
        return self.edge.reader(self.epoch, Stop(), keep=keep)

    def _late_calls(self) -> list[Callable[[], None]]:
        def commit() -> None:
            self.reader.commit(self.read, 1_000_000)
            self.reader.flush()  # it may have waited for others

        calls: list[Callable[[], None]] = [commit]
        if not self.ended:
            calls.append(lambda: self.writer.write(b"late"))
        return calls


def _headers(payload: bytes) -> dict[str, str]:
    return {"first": payload[:1].hex()} if len(payload) % 2 else {}


def _weight(entry: Written) -> int:
    if entry is None:
        return ENTRY_WEIGHT
    headers = len('{"first":"00"}') if _headers(entry) else 0
    return ENTRY_WEIGHT + headers + len(entry)


def test_an_edge_does_what_its_model_does(any_redis: Redis) -> None:
    class Machine(EdgeMachine):
        client = binary(any_redis)
        lossy = binary(any_redis, loses_answers=True)

    run_state_machine_as_test(Machine, settings=MACHINE)
