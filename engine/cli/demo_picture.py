"""The demo's stream: a photo goes through four steps at once and comes back as it is made."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from engine.cli.demo_photo import HEIGHT, WIDTH, make_photo
from engine.core.events import Event, EventType
from engine.core.streaming import SINK, SOURCE
from engine.errors import ExecutionFailed
from engine.runtime.engine import Engine
from tasks.loading import shipped_flows

PHOTO = "photo.jpg"
PICTURE = "picture.jpg"
FLOW = "compress_watermark"
INPUT = {"quality": 75, "text": "Penstock", "opacity": 0.8}
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Streamed:
    """What the stream came to.

    `lines`: what is to be told of it; `well`: the picture is whole, and bytes have gone from
    one process to another on their way.
    """

    path: Path
    lines: tuple[str, ...]
    well: bool


def stream_picture(engine: Engine, folder: Path) -> Streamed:
    """Streams a made-up photo through the shipped flow into `folder`. Blocking."""
    photo, path = folder / PHOTO, folder / PICTURE
    make_photo(photo)
    engine.create_flow(FLOW, shipped_flows()[FLOW].read_text(encoding="utf-8"))
    begun = time.monotonic()
    first_s = 0.0
    try:
        with photo.open("rb") as source, path.open("wb") as file:
            streamed = engine.stream(FLOW, INPUT, source, "demo")
            for chunk in streamed:
                first_s = first_s or time.monotonic() - begun
                file.write(chunk)
    except ExecutionFailed as failed:
        return Streamed(path, (f"stream   failed: {failed}",), False)
    took_s = time.monotonic() - begun
    history = engine.get_execution_history(FLOW, "demo")
    segments, edges = _detail(history, "segments"), _detail(history, "edges")
    lines = (
        f"stream   {WIDTH}x{HEIGHT} photo, {_size(photo)} in, {_size(path)} out: first byte after"
        f" {first_s * 1000:.0f} ms, all after {took_s:.2f} s",
        *(f"step     {stage} in process {pid}" for stage, pid in _processes(segments)),
        *(f"edge     {_edge(edge)}" for edge in edges),
    )
    inner = [edge for edge in edges if edge["from"] != SOURCE and edge["to"] != SINK]
    across = any(edge["across"] for edge in inner)
    pids = {pid for _, pid in _processes(segments)}
    return Streamed(path, lines, _whole(path) and across and len(pids) > 1)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / MEGABYTE:.1f} MB"


def _detail(history: list[Event], key: str) -> list[dict[str, Any]]:
    kinds = (EventType.STREAM_OPENED, EventType.STREAM_CLOSED)
    found = [event.detail[key] for event in history if event.type in kinds and key in event.detail]
    return found[-1] if found else []


def _processes(segments: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(stage, segment["pid"]) for segment in segments for stage in segment["stages"]]


def _edge(edge: dict[str, Any]) -> str:
    way = "from process to process" if edge["across"] else "within a process"
    size = f"{edge['chunks']} chunks, {edge['bytes'] / MEGABYTE:.1f} MB"
    return f"{edge['from']} -> {edge['to']}: {size}, {way}"


def _whole(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.size == (WIDTH, HEIGHT)
    except (UnidentifiedImageError, OSError):
        return False
