"""The heap: what is said to the C library of a worker, and to nobody else."""

from __future__ import annotations

import os

import pytest

from engine.runtime.heap import heap_environment, keep_heap_small

TUNABLES = "GLIBC_TUNABLES"


def test_a_new_worker_is_told_and_what_it_starts_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TUNABLES, raising=False)
    told = heap_environment()
    assert list(told) == [TUNABLES]
    monkeypatch.setenv(TUNABLES, told[TUNABLES])
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")  # the heap of this process is to stay as it is
    keep_heap_small()
    assert TUNABLES not in os.environ


def test_what_somebody_else_has_said_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNABLES, "glibc.malloc.check=1")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert heap_environment() == {}
    keep_heap_small()
    assert os.environ[TUNABLES] == "glibc.malloc.check=1"
