"""Matching: searches lines for a pattern in a process that a bad pattern may take down.

Python's patterns can take time without end for a short line, and hold the interpreter meanwhile:
the worker's lease would end, and the time-out of the step be unheard. So a process of its own
searches, which the system ends when a batch has cost too much processor time.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tasks.errors import INVALID_ARGUMENT, SERVER_ERROR, TaskError
from tasks.text import match_process

PATTERN_TOO_SLOW = "PatternTooSlow"
MAX_PATTERN_CHARACTERS = 1000


class Matcher:
    """Tells in which lines a pattern is found; a context manager that ends its process.

    Lines are searched as UTF-8 (other bytes become U+FFFD) without their line ends.

    Args:
        pattern: In the language of Python's `re`.

    Raises:
        TaskError: `FC.InvalidArgument`, it is no pattern.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN_CHARACTERS:
            raise TaskError(
                INVALID_ARGUMENT, f"matches has more than {MAX_PATTERN_CHARACTERS} characters"
            )
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise TaskError(INVALID_ARGUMENT, f"matches {pattern!r}: {error}") from error
        self._pattern = pattern

    def __enter__(self) -> Matcher:
        script = str(Path(match_process.__file__))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._send(self._pattern.encode("utf-8", "surrogatepass"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, lines: list[bytes]) -> list[bool]:
        """For each line, in order.

        Raises:
            TaskError: `PatternTooSlow`; `FC.InternalServerError`, the process was ended by others.
        """
        self._send(b"\n".join(line.rstrip(b"\r\n") for line in lines))
        assert self._process.stdout is not None
        found = self._process.stdout.read(len(lines))
        if len(found) < len(lines):
            raise self._ended()
        return [flag == 1 for flag in found]

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(len(data).to_bytes(4, "big") + data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def _ended(self) -> TaskError:
        status = self._process.wait()
        if status == -signal.SIGVTALRM:
            return TaskError(
                PATTERN_TOO_SLOW,
                f"matches {self._pattern!r} took more than {match_process.LIMIT_S:g} s for some "
                "lines: let nothing repeat that repeats inside already, as in (a+)+",
            )
        return TaskError(SERVER_ERROR, f"the process that searches lines has ended: {status}")
