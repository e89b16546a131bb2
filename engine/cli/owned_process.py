"""An owned process: started and ended by the command that needs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType

from engine.errors import EngineError, InvalidArgument

READY_S = 60.0
WARM_S = 10.0
COLD_S = 3.0

_LOG_HEAD = re.compile(r"^\[[^\]]*: [A-Z]+/[^\]]*\] ")


class OwnedProcess:
    """A worker or the like; it ends when this object is closed, and should end when its stdin does.

    Its stdin closes when our process is gone, however that ended. `name` is what errors call it;
    `is_ready` knows the line of its stderr that says so; `say` gets each line after that.
    Blocking: `__enter__` until it is ready, `__exit__` until it has ended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        is_ready: Callable[[str], bool],
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._is_ready = is_ready
        self._say = say
        self._ready = threading.Event()
        self._last = ""
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Its process id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False before its start and after its end."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> OwnedProcess:
        """Starts it.

        Raises:
            InvalidArgument: it refused its options. EngineError: it did not get ready.
        """
        # A group of its own: Ctrl-C in a terminal is for us to pass on, in our order.
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", env=self._environment, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with ExitStack() as stack:
            stack.callback(self.stop)
            self._wait_until_ready()
            stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it: what it is at may end first, for `WARM_S`. Idempotent."""
        if self._process is None:
            return
        try:
            self._end_by(signal.SIGTERM, WARM_S)
            self._end_by(signal.SIGQUIT, COLD_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends it now, whatever it is at. Idempotent."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _wait_until_ready(self) -> None:
        assert self._process is not None and self._reader is not None
        if not self._ready.wait(READY_S):
            raise EngineError(f"the {self.name} was not ready within {READY_S:g} s: {self._last}")
        if self._process.poll() is None:
            return
        self._reader.join()
        said = self._last.removeprefix("penstock: ") or f"exit code {self._process.returncode}"
        if self._process.returncode == 2:
            raise InvalidArgument(said)
        raise EngineError(f"the {self.name} did not start: {said}")

    def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            text = _LOG_HEAD.sub("", line.rstrip())
            if not self._ready.is_set() and self._is_ready(text):
                self._ready.set()
                continue
            if not text:
                continue
            if self._ready.is_set():
                self._say(text)
            self._last = text
        self._process.wait()
        self._ready.set()

    def _end_by(self, number: signal.Signals, within_s: float) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(within_s)
            except subprocess.TimeoutExpired:
                return
