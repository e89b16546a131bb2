"""`penstock export`: an execution as a document that can be looked at and replayed elsewhere."""

from __future__ import annotations

import typer

from engine.cli.connection import configured_engine
from engine.cli.executions import ExecutionName, FlowName
from engine.cli.output import print_json
from engine.runtime.exporting import export_execution


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(export)


def export(flow: FlowName, name: ExecutionName) -> None:
    """Print an execution with its flow and history, secrets redacted, for `simulate --bundle`."""
    with configured_engine() as engine:
        document = export_execution(engine.runtime, flow, name)
    print_json(document)
