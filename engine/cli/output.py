"""Output: what commands write to stdout, for people or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNCUT_CELLS = 10_000
"""The width of what is not a terminal: nothing is wrapped or cut there."""


class Format(StrEnum):
    """How a command writes its answer."""

    TEXT = "text"
    JSON = "json"


FormatOption: TypeAlias = Annotated[Format, typer.Option("--format", help="For people, or JSON.")]


def print_json(value: Any) -> None:
    """Writes one JSON document: indented on a terminal, else in one line."""
    indent = 2 if sys.stdout.isatty() else None
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table without lines; its last column is cut to the terminal's width."""
    console = stdout_console()
    table = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        last = number == len(columns) - 1
        table.add_column(column, no_wrap=True, overflow="ellipsis" if last else "fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    _print(console, table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Writes names and values below each other; those without a value are left out."""
    console = stdout_console()
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        if value:
            grid.add_row(name, Text(value))
    _print(console, grid)


def figures(counts: Mapping[str, int]) -> str:
    """Named numbers in one line."""
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def stdout_console() -> Console:
    """The console of stdout."""
    return Console(width=None if sys.stdout.isatty() else UNCUT_CELLS, highlight=False)


def local_time(seconds: float | None) -> str:
    """A time since the epoch as people read it, in the local zone; "" for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print(console: Console, table: Table) -> None:
    if console.is_terminal:
        console.print(table)
        return
    # A file or a pipe gets no blanks at the ends of its lines.
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
