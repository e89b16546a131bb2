"""How the API's process begins, where it listens, and how it says what is wrong."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.config import Settings
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.api.serving import ALL_KEYS, KEYS, ApiProcess
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with EmbeddedRedis() as server:
        yield server.url


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "penstock.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


def _refused(redis_url: str, *options: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code and the log of an API that does not begin."""
    api = ApiProcess(redis_url, *options, env={KEYS: ALL_KEYS} | (env or {}))
    with pytest.raises(AssertionError, match="the API ended"):
        api.start()
    assert "Traceback" not in api.log
    return api.wait(10), api.log


def test_it_speaks_https_with_a_certificate(redis_url: str, certificate: tuple[Path, Path]) -> None:
    chain, private = map(str, certificate)
    options = ["--tls-certificate", chain, "--tls-key", private]
    with ApiProcess(redis_url, *options, env={KEYS: ALL_KEYS}) as api:
        assert api.url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=chain)
        with httpx.Client(verify=trusted, auth=("viewer-key", "viewer-secret")) as client:
            assert client.get(f"{api.url}/v1/flows").status_code == 200


def test_with_keys_it_listens_to_the_network(redis_url: str) -> None:
    with ApiProcess(redis_url, "--host", "0.0.0.0", env={KEYS: ALL_KEYS}) as api:
        url = api.url.replace("0.0.0.0", "127.0.0.1")
        auth = ("viewer-key", "viewer-secret")
        headers = {"Host": "flows.example"}
        assert httpx.get(f"{url}/v1/flows", auth=auth, headers=headers).status_code == 200
        assert httpx.get(f"{url}/v1/flows").status_code == 401


def test_the_first_key_closes_an_open_api(redis_url: str) -> None:
    engine = Engine(redis_url, Settings())
    with ApiProcess(redis_url, env={KEYS: ""}) as api:
        assert httpx.get(f"{api.url}/v1/flows").status_code == 200
        key = engine.keys.create("admin")
        wait_until(lambda: httpx.get(f"{api.url}/v1/flows").status_code == 401, 10)
        assert httpx.get(f"{api.url}/", params={"Action": "ListFlows"}).status_code == 403
        auth = (key.id, key.secret)
        assert httpx.get(f"{api.url}/v1/flows", auth=auth).status_code == 200
        engine.keys.delete(key.id)


def test_files_that_are_no_certificate_are_named(
    redis_url: str, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    chain, private = map(str, certificate)
    for options in (
        ["--tls-certificate", str(tmp_path / "none.pem")],
        ["--tls-certificate", private, "--tls-key", chain],
        ["--tls-key", private],
    ):
        code, log = _refused(redis_url, *options)
        assert code == 2 and "PENSTOCK_API_TLS_CERTIFICATE" in log


def test_settings_that_cannot_be_used_are_named(redis_url: str) -> None:
    code, log = _refused(redis_url, env={"PENSTOCK_API_MAX_STREAMS": "many"})
    assert code == 2 and "PENSTOCK_API_MAX_STREAMS" in log and "many" not in log
    code, log = _refused(redis_url, env={KEYS: "nothing"})
    assert code == 2 and "PENSTOCK_API_KEYS" in log


def test_a_port_that_is_taken_is_said_to_be(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, log = _refused(redis_url, "--port", str(taken.getsockname()[1]))
    assert code == 1 and "address already in use" in log


def test_without_a_redis_it_ends_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in ("", f"redis://127.0.0.1:{port}/0"):
        code, log = _refused(url)
        assert code == 3 and len(log.strip().splitlines()) == 1, log


def test_the_command_becomes_the_api(redis_url: str) -> None:
    command = [sys.executable, "-m", "penstock", "api", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "--tls-certificate" in shown.stdout
