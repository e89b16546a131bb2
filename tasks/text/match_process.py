"""The process that searches lines for a pattern; it is run as a file, by `tasks.text.matching`.

On stdin: the pattern, then batches of lines, each with its length in front (4 bytes, big-endian).
On stdout: for each batch, a byte for each line, 1 where the pattern was found. It ends with stdin.
"""

from __future__ import annotations

import re
import signal
import sys

LIMIT_S = 5.0
"""Processor time for one batch."""


def main() -> None:
    """Answers until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The system ends the process: a search that has run away heeds no handler of Python's.
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    pattern = re.compile((_read() or b"").decode("utf-8", "surrogatepass"))
    while (batch := _read()) is not None:
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        found = bytes(
            pattern.search(line.decode("utf-8", "replace")) is not None
            for line in batch.split(b"\n")
        )
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        sys.stdout.buffer.write(found)
        sys.stdout.buffer.flush()


def _read() -> bytes | None:
    head = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(int.from_bytes(head, "big")) if len(head) == 4 else None


if __name__ == "__main__":
    main()
