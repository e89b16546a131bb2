"""The guard of an embedded Redis: its parent process, which outlives nobody.

Run as a script with the standard library alone: `embedded_guard.py OWNER_PID FOLDER KEEP SERVER`.
It ends the server when the owner is gone, however the owner ended, and then removes the folder
unless KEEP is 1.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

OWNER_CHECK_S = 0.25
STOP_S = 5.0
PR_SET_PDEATHSIG = 1


def guard(owner: int, folder: Path, keep: bool, server: str) -> int:
    """Runs the server until it ends, this guard is told to stop or the owner is gone.

    Returns the server's exit code.
    """
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            [server, str(folder / "redis.conf")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent,
        )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda _signal, _frame: process.terminate())
    while not _ended(process, OWNER_CHECK_S):
        if os.getppid() != owner:
            _stop(process)
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
    return process.returncode


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if not _ended(process, STOP_S):
        process.kill()
        process.wait()


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_with_parent() -> None:
    # The last net, on Linux: should this guard itself be killed, the kernel ends the server.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    owner_pid, folder_name, keep_flag, server_path = sys.argv[1:]
    sys.exit(guard(int(owner_pid), Path(folder_name), keep_flag == "1", server_path))
