"""Servers: other people's HTTP servers as processes of a test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until

START_S = 30.0
STOP_S = 10.0


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def moto_server() -> Iterator[str]:
    """The S3 server of moto; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with process(command):
        wait_until(lambda: answers(f"{url}/moto-api/"), START_S)
        yield url


@contextmanager
def process(
    command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """A process that ends with the block; the file that it writes to."""
    with tempfile.NamedTemporaryFile(prefix="server-", suffix=".log") as log:
        running = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=cwd, env=os.environ | dict(env or {})
        )
        try:
            yield Path(log.name)
        finally:
            running.terminate()
            try:
                running.wait(STOP_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def answers(url: str) -> bool:
    """True once somebody answers there, whatever they answer."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
