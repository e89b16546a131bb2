"""Flower as an owned process: Celery's own command, which ends when its stdin closes."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec

from engine.cli.owned_process import OwnedProcess

USER = "penstock"
END_S = 3.0


def has_flower() -> bool:
    """True when the extra is installed."""
    return find_spec("flower") is not None


def flower_process(url: str, port: int, password: str, say: Callable[[str], None]) -> OwnedProcess:
    """Flower for the broker `url`, on loopback, read-only, behind a password; not started yet."""
    # By the environment: a list of processes shows command lines to everybody.
    environment = {
        "CELERY_BROKER_URL": url,
        "FLOWER_BASIC_AUTH": f"{USER}:{password}",
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
        "FLOWER_READ_ONLY": "true",
        "FLOWER_PERSISTENT": "false",
        "FLOWER_TASKS_COLUMNS": "name,state,kwargs,received,runtime,worker",
    }
    command = [sys.executable, "-P", "-m", "engine.cli.flower"]
    return OwnedProcess("Flower", command, environment, lambda line: "Visit me at" in line, say)


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(END_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    sys.argv = ["celery", "flower"]
    runpy.run_module("celery", run_name="__main__")
