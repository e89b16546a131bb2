"""`penstock run --source --sink`: the file is there once all of it is, or it is as it was."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.running import HEAD
from tests.acceptance.streaming import TASKS, given, stream_step
from tests.command import PENSTOCK, Background, penstock

COUNT, SIZE = 40, 100_000
SOURCE = b"".join(given(COUNT, SIZE))
OLD = b"what was there before"
CAUGHT = (
    "  end: true\n- type: pass\n  name: after\n"
    "  outputMappings: [{target: caught, source: 'yes'}]\n"
)
FLOWS = {
    "well.yml": stream_step("cut", "tell"),
    "broken.yml": stream_step("cut", "fail"),
    "caught.yml": stream_step("cut", "fail", more="catch: [{errors: [Test.Broken], goto: after}]")
    + CAUGHT,
    "hangs.yml": stream_step("cut", "hang"),
}
STREAMED = ("--tasks", str(TASKS), "--source", "in.bin", "--sink", "out.bin", "--input", "@in.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, steps in FLOWS.items():
        (tmp_path / name).write_text(HEAD + steps)
    told = {"place": str(tmp_path / "traces"), "size": SIZE, "after": 10}
    (tmp_path / "in.json").write_text(json.dumps(told))
    (tmp_path / "in.bin").write_bytes(SOURCE)
    (tmp_path / "out.bin").write_bytes(OLD)
    (tmp_path / "traces").mkdir()
    return tmp_path


def _hidden(folder: Path) -> list[str]:
    """What a file in the making would be called."""
    return [name for name in os.listdir(folder) if name.startswith(".out.bin")]


def test_a_stream_becomes_a_file_and_the_output_stands_alone_on_stdout(folder: Path) -> None:
    done = penstock("run", "well.yml", *STREAMED, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "out.bin").read_bytes() == SOURCE
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(SOURCE).hexdigest()
    assert f"{len(SOURCE):,} bytes out" in done.stderr
    assert _hidden(folder) == []


@pytest.mark.parametrize(
    ("flow", "status", "error"),
    [
        ("broken.yml", "Failed", "Test.Broken"),
        ("caught.yml", "Succeeded without its stream", "StreamIncomplete"),
    ],
)
def test_a_stream_that_broke_off_is_no_file(
    folder: Path, flow: str, status: str, error: str
) -> None:
    done = penstock("run", flow, *STREAMED, cwd=folder)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert f"{status} " in done.stderr and f"error: {error}\ncause: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "out.bin").read_bytes() == OLD
    assert _hidden(folder) == []


@pytest.mark.parametrize("name", [".", "fifo", "/dev/null"])
def test_what_is_no_ordinary_file_is_not_replaced_by_one(folder: Path, name: str) -> None:
    os.mkfifo(folder / "fifo")
    done = penstock("run", "well.yml", "--sink", name, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--sink {name}: it is " in done.stderr and "Traceback" not in done.stderr
    assert "entered" not in done.stderr


def test_without_a_file_to_write_a_caught_stream_has_its_output(folder: Path) -> None:
    words = [word for word in STREAMED if word not in ("--sink", "out.bin")]
    done = penstock("run", "caught.yml", *words, cwd=folder)
    assert (done.returncode, json.loads(done.stdout)["caught"]) == (0, "yes"), done.stderr


def test_an_interrupted_stream_leaves_the_file_as_it_was(folder: Path) -> None:
    with Background(PENSTOCK, "run", "hangs.yml", *STREAMED, cwd=folder) as run:
        run.says("stream entered")
        assert run.end(signal.SIGINT) == 130
        assert run.stdout == ""
    assert (folder / "out.bin").read_bytes() == OLD
    assert _hidden(folder) == []
