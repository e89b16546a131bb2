"""Flower as an owned process: Celery's own command, which ends when its stdin closes."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from engine.cli.owned_process import OwnedProcess

USER = "penstock"
LOGIN_VARIABLE = "FLOWER_BASIC_AUTH"
"""Flower's own variable: `user:password`, several separated by commas."""

END_S = 3.0
WHILE_STDIN = "--while-stdin"

READ_ONLY = "true"
COLUMNS = "name,state,kwargs,received,runtime,worker"


def has_flower() -> bool:
    """True when the extra is installed."""
    return find_spec("flower") is not None


def flower_process(
    url: str, port: int, login: str, say: Callable[[str], None], console: str = ""
) -> OwnedProcess:
    """Flower for the broker `url`, on loopback, read-only, behind a password; not started yet.

    `login`: as in `FLOWER_BASIC_AUTH`. `console`: where the API is, whose console its pages of
    tasks name; "": nowhere.
    """
    # By the environment: a list of processes shows command lines to everybody.
    environment = {
        "CELERY_BROKER_URL": url,
        LOGIN_VARIABLE: login,
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
        "PENSTOCK_API_PUBLIC_URL": os.environ.get("PENSTOCK_API_PUBLIC_URL") or console,
    }
    command = [sys.executable, "-P", "-m", "engine.cli.flower", WHILE_STDIN]
    return OwnedProcess("Flower", command, environment, lambda line: "Visit me at" in line, say)


def main() -> None:
    """Runs Flower in this process: what its environment leaves open is as we want it."""
    if WHILE_STDIN in sys.argv:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.environ.setdefault("FLOWER_CONF", str(Path(__file__).with_name("flower_pages.py")))
    os.environ.setdefault("FLOWER_READ_ONLY", READ_ONLY)
    os.environ.setdefault("FLOWER_PERSISTENT", "false")
    os.environ.setdefault("FLOWER_TASKS_COLUMNS", COLUMNS)
    sys.argv = ["celery", "flower"]
    runpy.run_module("celery", run_name="__main__")


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(END_S)
    os._exit(1)


if __name__ == "__main__":
    main()
