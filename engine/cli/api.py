"""`penstock api`: this process becomes the HTTP API; and the API as an owned process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import typer

from engine.cli.owned_process import OwnedProcess

LOOPBACK = "127.0.0.1"

_LISTENS = "listening on "


def add(app: typer.Typer) -> None:
    """Registers the command; its options belong to the API, which also prints its help."""
    everything = {"ignore_unknown_options": True, "allow_extra_args": True}
    app.command(context_settings=everything, add_help_option=False)(api)


def api(context: typer.Context) -> None:
    """Serve the HTTP API, until Ctrl-C. (See its own --help.)"""
    os.execv(sys.executable, api_command(context.args))


def api_command(options: list[str]) -> list[str]:
    """The command line of an API process.

    A process of its own kind, as a worker is: see there for -P.
    """
    return [sys.executable, "-P", "-m", "engine.api", *options]


class OwnedApi(OwnedProcess):
    """The API on loopback, for the command that owns it; port 0 takes a free one.

    `url` is where it listens, once it has started. `environment` goes before the command's own.
    """

    def __init__(
        self, environment: Mapping[str, str], port: int, say: Callable[[str], None]
    ) -> None:
        self.url = ""
        options = ["--host", LOOPBACK, "--port", str(port), "--while-stdin"]
        super().__init__("API", api_command(options), environment, self._told_where, say)

    def _told_where(self, line: str) -> bool:
        if line.startswith(_LISTENS):
            self.url = line.removeprefix(_LISTENS)
        return bool(self.url)
