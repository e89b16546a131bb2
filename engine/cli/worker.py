"""`penstock worker`: this process becomes a worker."""

from __future__ import annotations

import os
import sys

import typer

from engine.runtime.heap import heap_environment


def add(app: typer.Typer) -> None:
    """Registers the command; its options belong to the worker, which also prints its help."""
    everything = {"ignore_unknown_options": True, "allow_extra_args": True}
    app.command(context_settings=everything, add_help_option=False)(worker)


def worker(context: typer.Context) -> None:
    """Run the steps of flows, until Ctrl-C. (See its own --help.)"""
    os.execve(sys.executable, worker_command(context.args), os.environ | heap_environment())


def worker_command(options: list[str]) -> list[str]:
    """The command line of a worker process.

    A process of its own kind: what imports the workers' package is no part of the command line.
    With -P, as Python would put the current folder first on its path otherwise.
    """
    return [sys.executable, "-P", "-m", "workers", *options]
