"""Processes of our own: from the options of a command line to its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from engine.errors import EngineError, StoreUnavailable

_BAD_INPUT = 2
_NO_REDIS = 3


def run_process(work: Callable[..., None], name: str) -> int:
    """Calls `work` with the options of this process's command line; the exit code.

    `name`: of the command, as its help shows it. 2: bad options or settings; 3: no usable Redis;
    else what `work` has ended with. What is wrong is said on stderr.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(work)
    try:
        app(prog_name=name)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except EngineError as error:
        for line in str(error).splitlines():
            print(f"penstock: {line}", file=sys.stderr)
        return _NO_REDIS if isinstance(error, StoreUnavailable) else _BAD_INPUT
    return 0
