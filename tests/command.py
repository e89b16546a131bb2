"""The command `penstock` of the tests: run to its end, in the background, or on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.waiting import wait_until

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
TIMEOUT_S = 90.0
END_S = 30.0
COLUMNS = 120


def penstock(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return command(PENSTOCK, *words, cwd=cwd, env=env)


def command(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs any command to its end."""
    return subprocess.run(
        words, cwd=cwd, env=environment(env), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip


def on_terminal(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Runs a command whose stdout and stderr are a terminal: its exit code, all that it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, cwd=cwd, env=environment({"TERM": "xterm-256color", **(env or {})}),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:
        pass  # how Linux tells that the other side is closed
    finally:
        os.close(ours)
    return process.wait(TIMEOUT_S), written.decode(errors="replace")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our own environment without what would choose another Redis."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | {"COLUMNS": str(COLUMNS)} | dict(extra or {})


class Background:
    """A command that runs while the test does something; its output is in files."""

    def __init__(self, *words: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self._out = tempfile.TemporaryFile(mode="w+")
        self._err = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            words, cwd=cwd, env=environment(env), stdin=subprocess.DEVNULL,
            stdout=self._out, stderr=self._err, start_new_session=True,
        )  # fmt: skip

    @property
    def stdout(self) -> str:
        """What it has written to stdout so far."""
        return _read(self._out.fileno())

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return _read(self._err.fileno())

    def says(self, text: str, timeout_s: float = 60.0) -> None:
        """Waits until it has written `text`."""
        wait_until(lambda: text in self.stdout + self.stderr or self._has_ended(), timeout_s)
        assert text in self.stdout + self.stderr, self.stderr

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_S)

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(END_S)
        # What a shell left in the background; the workers have groups of their own.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self._out.close()
        self._err.close()

    def _has_ended(self) -> bool:
        return self.process.poll() is not None


def processes_of(folder: Path) -> list[int]:
    """Ids of the living processes whose current folder is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                where = os.readlink(entry / "cwd")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if where == str(folder.resolve()) and state != "Z":
                found.append(int(entry.name))
    return found


def _read(file: int) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, size, 0).decode(errors="replace")
