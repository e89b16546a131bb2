"""Processes: real workers of the tests, started and ended by their process ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.runtime.heap import heap_environment
from tests.waiting import wait_until

READY_S = 60.0
STOP_S = 25.0


class WorkerProcess:
    """One `penstock worker` on its own, with its log in a file.

    `options` go to its command line; `env` is added to the environment. `tree`: the folder whose
    product it runs; None: this one. `module`: what is run instead of the command.
    """

    def __init__(
        self,
        redis_url: str,
        tasks: Iterable[str | Path] = (),
        options: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        tree: Path | None = None,
        module: str = "workers",
    ) -> None:
        self._command = [sys.executable, "-m", module]
        for source in tasks:
            self._command += ["--tasks", str(source)]
        self._command += options
        given = heap_environment() | {"PENSTOCK_REDIS_URL": redis_url} | dict(env or {})
        self._env = os.environ | given
        self._tree = tree or Path(__file__).resolve().parents[1]
        self._log = tempfile.NamedTemporaryFile(prefix="worker-", suffix=".log")
        self._logged_before = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts it, again if need be, and waits until it consumes.

        Raises:
            AssertionError: it does not; its log is in the message.
        """
        self._logged_before = len(self.log)
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            cwd=self._tree,
        )
        wait_until(self._is_ready, READY_S)
        return self

    def stop(self) -> None:
        """Asks it to end, and sees to it that it does."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def wait(self, timeout_s: float) -> int:
        """Waits for its end; its exit code. AssertionError with its log if it goes on."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {timeout_s} s: {self.log}") from None

    @property
    def pid(self) -> int:
        """The process id of its parent process."""
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """False once its parent process has ended."""
        assert self._process is not None
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has written so far."""
        return Path(self._log.name).read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the worker ended: {self.log}"
        return "ready" in self.log[self._logged_before :]
