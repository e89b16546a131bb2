"""Rabbit: a RabbitMQ server of the test's own, on loopback, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError

from tests.acceptance.servers import free_port
from tests.waiting import wait_until

START_S = 60.0
STOP_S = 20.0

PLACES = ("/usr/lib/rabbitmq/bin", *os.get_exec_path(), "/usr/sbin", "/opt/rabbitmq/sbin")
"""Where a server may be; Debian's own first: the one on its PATH becomes another user."""

USER = "penstock"
CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{port}
default_user = penstock
default_pass = {password}
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 10MB
"""


def find_rabbitmq() -> str | None:
    """The program that starts a server; None: there is none here."""
    return shutil.which("rabbitmq-server", path=os.pathsep.join(PLACES))


class RabbitServer:
    """One server; it keeps its data over `kill` and `start` until `close`.

    `arguments` go to Erlang, such as `-rabbit KEY VALUE`.
    """

    def __init__(self, arguments: str = "") -> None:
        self._arguments = f"-kernel inet_dist_use_interface {{127,0,0,1}} {arguments}"
        self._home = Path(tempfile.mkdtemp(prefix="penstock-rabbit-"))
        self._port, self._epmd_port = free_port(), free_port()
        self._password = secrets.token_urlsafe(16)
        configuration = self._home / "rabbitmq.conf"
        configuration.write_text(CONFIGURATION.format(port=self._port, password=self._password))
        (self._home / "enabled_plugins").write_text("[].\n")
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The same again after a restart."""
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self._port}//"

    def start(self) -> RabbitServer:
        """Starts it, or starts it again on its data. Blocking, until it answers."""
        program = find_rabbitmq()
        assert program is not None
        if self._epmd is None:
            # Of our own: one that the server starts would outlive it.
            command = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
            self._epmd = self._run(command, "epmd.log")
        self._server = self._run([program], "server.log")
        wait_until(self._answers, START_S, every_s=0.2)
        return self

    def kill(self) -> None:
        """SIGKILL to the server, and to nobody else's."""
        if self._server is not None and self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait(STOP_S)

    def close(self) -> None:
        """Ends it, and removes what it has written."""
        self.kill()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait(STOP_S)
        shutil.rmtree(self._home, ignore_errors=True)

    def purge(self, queue: str) -> None:
        """Throws the messages of a queue away."""
        with Connection(self.url) as connection:
            channel: Any = connection.default_channel
            channel.queue_purge(queue)

    def __enter__(self) -> RabbitServer:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        home = str(self._home)
        mine = {
            "HOME": home,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"penstock{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": home,
            "RABBITMQ_LOG_BASE": home,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self._arguments,
        }
        with (self._home / log).open("ab") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=os.environ | mine,
                cwd=home,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        assert self._server is not None
        log = (self._home / "server.log").read_text(errors="replace")
        assert self._server.poll() is None, f"RabbitMQ ended: {log[-2000:]}"
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=0)
        except OperationalError:
            return False
        return True
