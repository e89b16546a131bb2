"""`penstock schema`: the JSON Schema of the language, for editors."""

from __future__ import annotations

import json

import typer

from engine.fdl.schema import json_schema


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(schema)


def schema() -> None:
    """Print the JSON Schema of the flow language, for editors."""
    typer.echo(json.dumps(json_schema(), indent=2))
