"""The process `penstock api` (also `python -m engine.api`): options, then the server."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from engine.api.app import make_app
from engine.api.connections import Connection
from engine.api.service import Service, make_service
from engine.api.settings import ApiSettings, load_api_settings
from engine.config import load_settings
from engine.errors import InvalidArgument, StoreUnavailable
from engine.runtime.engine import Engine
from engine.runtime.logs import use_format
from engine.runtime.processes import run_process

END_S = 5
"""How long answers that are under way may take once the process is told to end."""

BACKLOG = 2048
_CANNOT_LISTEN = 1

_UNTOLD = (
    # An answer was broken off, as a failed stream's must be.
    "ASGI callable returned without completing response.",
    # Whoever can connect could fill the log with these.
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
)
"""What the server would log, and what is no news."""


def main() -> int:
    """Serves until it is told to stop. Exit codes: 1 cannot listen, 2 bad options, 3 no Redis."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _end)
    return run_process(api, "penstock api")


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = None,
    tls_certificate: Annotated[
        str | None, typer.Option(help="File of a certificate chain; with it the API speaks HTTPS.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(help="File of its private key.")] = None,
    while_stdin: Annotated[
        bool, typer.Option("--while-stdin", help="End when stdin closes.", hidden=True)
    ] = False,
) -> None:
    """Serve the HTTP API. Writes `listening on http://…` to stderr once it does."""
    if while_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    settings = load_api_settings(
        host=host, port=port, tls_certificate=tls_certificate, tls_key=tls_key
    )
    engine_settings = load_settings()
    if engine_settings.redis_url is None:
        raise StoreUnavailable("no Redis: the API needs PENSTOCK_REDIS_URL")
    url = engine_settings.redis_url.get_secret_value()
    engine = Engine(url, engine_settings)
    service = make_service(engine, url, settings, open=is_open(engine, settings))
    server = Server(service)
    try:
        server.run()
    except SystemExit:
        # It has said why it cannot listen; the code it ends with means something else here.
        raise SystemExit(0 if server.started else _CANNOT_LISTEN) from None


def is_open(engine: Engine, settings: ApiSettings) -> bool:
    """True when nobody needs an access key; it says so on stderr.

    Raises:
        InvalidArgument: there are no keys, and others than this machine could connect.
    """
    if engine.keys.any():
        return False
    if not settings.on_loopback:
        raise InvalidArgument(
            f"no access keys: the API does not listen on {settings.host} without; make one with"
            " `penstock keys create --role admin`, or set PENSTOCK_API_KEYS"
        )
    print(
        "penstock: warning: there are no access keys: whoever is on this machine may do everything",
        file=sys.stderr,
    )
    return True


class Server(uvicorn.Server):
    """Uvicorn, which says where it listens, and ends those who follow when it is to end."""

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings
        logging.getLogger("uvicorn.error").addFilter(_is_told)
        super().__init__(
            uvicorn.Config(
                make_app(service),
                host=settings.host.strip("[]"),
                port=settings.port,
                log_level="warning",
                access_log=False,
                backlog=BACKLOG,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                http=Connection,
                ws="none",
                timeout_graceful_shutdown=END_S,
                ssl_certfile=settings.tls_certificate or None,
                ssl_keyfile=settings.tls_key or None,
            )
        )
        form = service.engine.runtime.store.settings.log_format
        use_format(logging.getLogger("uvicorn"), form)

    def _log_started_message(self, listeners: object) -> None:
        scheme = "https" if self._service.settings.tls_certificate else "http"
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                print(f"listening on {scheme}://{shown}:{port}", file=sys.stderr, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told to end: first those go who would wait for more."""
        self._service.end_followers()
        super().handle_exit(sig, frame)


def _is_told(record: logging.LogRecord) -> bool:
    return record.getMessage() not in _UNTOLD


def _end(number: int, frame: FrameType | None) -> None:
    """Told to end while nothing is served: before, or after what was under way has ended."""
    sys.exit(0)


def _end_with_stdin() -> None:
    """Ends this process when its owner is gone, who holds the other end of stdin."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
