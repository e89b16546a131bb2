"""The command `penstock`: finds the module of a subcommand and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import typer

from engine.cli.exits import exit_code, lines_of
from engine.errors import EngineError

COMMANDS: Mapping[str, str] = {
    "run": "engine.cli.run",
    "validate": "engine.cli.validate",
    "explain": "engine.cli.explain",
    "simulate": "engine.cli.simulate",
    "schema": "engine.cli.schema",
    "flow": "engine.cli.flows",
    "start": "engine.cli.executions",
    "stop": "engine.cli.executions",
    "pause": "engine.cli.executions",
    "resume": "engine.cli.executions",
    "redrive": "engine.cli.executions",
    "skip": "engine.cli.executions",
    "watch": "engine.cli.executions",
    "report": "engine.cli.executions",
    "describe": "engine.cli.views",
    "history": "engine.cli.views",
    "list": "engine.cli.views",
    "export": "engine.cli.export",
    "schedule": "engine.cli.schedules",
    "keys": "engine.cli.keys",
    "audit": "engine.cli.audit",
    "worker": "engine.cli.worker",
    "api": "engine.cli.api",
    "up": "engine.cli.up",
    "doctor": "engine.cli.doctor",
    "fake-oss": "engine.cli.fake_oss",
}
"""The module of each command, in the order of the help. It has `add(app)`, which registers all of
its commands, and is imported only when one of them is called or when the help lists all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (None: the process's own) and returns its exit code.

    0 done, 1 failed, 2 a bad flow, input or option, 3 no usable Redis, 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _append_current_folder()
    try:
        _app(arguments)(args=list(arguments), prog_name="penstock")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except EngineError as error:
        return _refuse(error)
    except KeyboardInterrupt:
        return 130
    return 0


def _app(arguments: Sequence[str]) -> typer.Typer:
    """The app with the command that is called; with all of them when none of ours is."""
    app = typer.Typer(
        help="Durable workflows from YAML files on Celery and Redis.",
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    # The callback also makes typer keep the name of a command that stands alone.
    app.callback()(_root)
    called = next((word for word in arguments if not word.startswith("-")), "")
    wanted = [COMMANDS[called]] if called in COMMANDS else COMMANDS.values()
    for module in dict.fromkeys(wanted):
        import_module(module).add(app)
    return app


def _root(
    show_version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True
    ),
) -> None:
    if show_version:
        from importlib.metadata import version

        typer.echo(f"penstock {version('penstock')}")
        raise typer.Exit


def _append_current_folder() -> None:
    # Last, never first: a project's own tasks.py must not take the place of our package.
    here = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)] + [here]


def _refuse(error: EngineError) -> int:
    for line in lines_of(error):
        typer.echo(line, err=True)
    return exit_code(error)
