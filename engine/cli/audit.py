"""`penstock audit`: what people have done by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from engine.cli.connection import configured_engine
from engine.cli.output import Format, FormatOption, local_time, print_json, print_table

LISTED = 50


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(audit)


def audit(
    before: Annotated[
        str, typer.Option(metavar="ID", help="Only entries before the one of that id.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LISTED,
    format: FormatOption = Format.TEXT,
) -> None:
    """Print who stopped, changed or deleted what, newest first."""
    with configured_engine() as engine:
        entries = engine.audit.read(before, limit)
    if format is Format.JSON:
        print_json([asdict(entry) for entry in entries])
        return
    rows = [
        (
            entry.id,
            local_time(entry.time),
            entry.by,
            entry.source,
            entry.action,
            entry.subject,
            json.dumps(entry.detail, ensure_ascii=False) if entry.detail else "",
        )
        for entry in entries
    ]
    print_table(("id", "time", "by", "from", "action", "what", "detail"), rows)
