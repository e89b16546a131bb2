"""The embedded Redis: starts, serves both of its clients, and never outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from kombu import Connection

from engine.errors import StoreUnavailable
from engine.runtime.embedded import EmbeddedRedis, find_redis
from tests.waiting import wait_until

OWNER = """
import sys
from engine.runtime.embedded import EmbeddedRedis
server = EmbeddedRedis().start()
print(server.pid, server._home(), flush=True)
sys.stdin.read()
"""


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_it_serves_redis_py_and_kombu_under_one_url_and_is_gone_after_close() -> None:
    server = EmbeddedRedis().start()
    pid, folder = server.pid, server._home()
    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("key", "value")
    with Connection(server.url) as broker, broker.SimpleQueue("a") as queue:
        queue.put({"n": 1})
        message = queue.get(timeout=5)
        assert message.payload == {"n": 1}
        message.ack()

    server.close()

    assert not runs(pid)
    assert not folder.exists()


def test_a_client_without_the_password_is_refused() -> None:
    with EmbeddedRedis() as server, redis.Redis(port=int(server.url.split(":")[-1][:-2])) as client:
        with pytest.raises(redis.AuthenticationError):
            client.ping()


def test_what_was_written_is_there_again_after_a_kill_and_a_start() -> None:
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        os.kill(server.pid, signal.SIGKILL)

        server.start()

        assert client.get("key") == b"value"


def test_a_folder_that_was_given_keeps_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") == b"value"


def test_it_ends_when_its_owner_is_killed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdin and owner.stdout
    pid, folder = owner.stdout.readline().split()
    assert runs(int(pid))

    owner.kill()
    owner.wait()

    wait_until(lambda: not runs(int(pid)))
    wait_until(lambda: not Path(folder).exists())
    owner.stdin.close()
    owner.stdout.close()


def test_a_server_that_cannot_start_is_told_with_what_it_said(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho no memory here >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(StoreUnavailable, match="no memory here"):
        EmbeddedRedis(server=broken).start()


def test_a_server_on_path_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "valkey-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis() == own


def test_without_a_server_on_path_the_wheels_is_taken_or_the_way_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        found = find_redis()
    except StoreUnavailable as error:
        # No wheel with a server exists for this machine.
        assert "PENSTOCK_REDIS_URL" in str(error)
    else:
        assert (found.name, os.access(found, os.X_OK)) == ("redis-server", True)
