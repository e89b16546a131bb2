"""Documents: frames as texts in the store, their inputs and locals packed."""

from __future__ import annotations

import json
from typing import Any

from engine.core.codec import frame_from_json, frame_to_json
from engine.core.frame import Frame
from engine.runtime.payloads import Packer, dumps

STATE_VERSION = "1"
"""The form in which executions are kept; a worker leaves those of another form to others."""

VERSION_FIELD = "state_version"
"""Where an execution's record says it."""


def pack_frame(packer: Packer, execution_id: str, frame: Frame) -> str:
    """The document of a frame. Large values are stored on the way."""
    data = frame_to_json(frame)
    parts = []
    for key, value in data.items():
        match key:
            case "s" | "c":
                rows = ",".join(_row(packer, execution_id, row) for row in value)
                parts.append(f'"{key}":[{rows}]')
            case "p":
                parts.append(f'"p":{_row(packer, execution_id, value)}')
            case _:
                parts.append(f'"{key}":{dumps(value)}')
    return "{" + ",".join(parts) + "}"


def unpack_frame(packer: Packer, execution_id: str, text: str) -> Frame:
    """The frame of a document. Large values are shared with other readers."""
    data = json.loads(text)
    for row in (*data["s"], *data.get("c", ()), *([data["p"]] if "p" in data else ())):
        for at, value in enumerate(row):
            if isinstance(value, dict):
                row[at] = packer.resolve(execution_id, value)
    return frame_from_json(data)


def _row(packer: Packer, execution_id: str, row: list[Any]) -> str:
    parts = (packer.pack(execution_id, v) if isinstance(v, dict) else dumps(v) for v in row)
    return "[" + ",".join(parts) + "]"
