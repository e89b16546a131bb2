"""Images: a large photo through the image flow, beside programs that work on it as a whole.

"Fused" is one worker with one slot, "across" two of them. Whole-image programs and ours take turns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

from engine.config import Settings
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from streams.connection import connect
from tests.bench.figures import Figure
from tests.bench.memory import Growth, forget_peak, peak_mb
from tests.bench.photos import HEIGHT, WIDTH, photo
from tests.bench.stage import ROOT
from tests.bench.whole_image import QUALITY, TEXT, run_whole
from tests.processes import WorkerProcess
from tests.waiting import wait_until

FLOW = "compress_watermark"
FILE = ROOT / "tasks" / "image" / "flows" / f"{FLOW}.yml"
INPUT: dict[str, Any] = {"quality": QUALITY, "text": TEXT}
TILED = INPUT | {"position": "tile"}
SAME_MARK = INPUT | {"font_size": HEIGHT // 20}
"""The mark's size goes by the shorter side, unless it is told: then only the height differs."""
SMALL = 4000, 3000
"""12 megapixels."""
READY_S = 30.0
WARM_RUNS = 3
SMALL_RUNS = 20
SLOW_PAUSE_S = 0.01
"""Between two chunks, of a slow client: in all some times as long as the run takes otherwise."""

FIRST_GATE = 0.06
TOTAL_GATES = {"across": 1.3, "fused": 0.95}
VIPS_GATE = 2.0
PEAK_GATE = 0.35
FLAT_GATE = 1.1
SMALL_FIRST_GATE_MS = 100.0
WINDOW_MB = 4 * 1024 * 1024 / 1e6
SPARE_MB = 16 * 1024 * 1024 / 1e6


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the flow: times since the call in seconds, the processes and edges it used."""

    first_s: float
    total_s: float
    pids: tuple[int, ...]
    edges_across: int


class Fleet:
    """A Redis of its own, and so many workers with one slot each, warm."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._open = ExitStack()
        self.engine: Engine
        self.url = ""

    def __enter__(self) -> Fleet:
        self.url = self._open.enter_context(EmbeddedRedis()).url
        for _ in range(self._workers):
            self._open.enter_context(WorkerProcess(self.url, options=["-c", "1"]))
        self.engine = Engine(self.url, Settings())
        self.engine.create_flow(FLOW, FILE.read_text())
        fleet = self.engine.runtime.fleet
        wait_until(lambda: len(fleet.workers(fresh=True)) == self._workers, READY_S)
        for _ in range(WARM_RUNS):
            self.run(photo(*SMALL))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def run(self, path: Path, given: dict[str, Any] = INPUT, pause_s: float = 0.0) -> Run:
        """Streams a picture through; the client waits `pause_s` between two chunks."""
        pace = threading.Event()
        begun = time.perf_counter()
        first_s = 0.0
        with path.open("rb") as source:
            streamed = self.engine.stream(FLOW, given, source=source)
            for _ in streamed:
                first_s = first_s or time.perf_counter() - begun
                if pause_s:
                    pace.wait(pause_s)
        total_s = time.perf_counter() - begun
        events = self.engine.get_execution_history(FLOW, streamed.execution.name)
        opened, closed = (
            next(event.detail for event in events if event.type == kind)
            for kind in ("StreamOpened", "StreamClosed")
        )
        pids = tuple(segment["pid"] for segment in opened["segments"])
        assert len(pids) == self._workers, f"it ran in {len(pids)} processes: {opened['why']}"
        return Run(first_s, total_s, pids, sum(edge["across"] for edge in closed["edges"]))

    def pids(self) -> tuple[int, ...]:
        """The processes that work at pictures."""
        return self.run(photo(*SMALL)).pids

    def peak(self, path: Path) -> float:
        """The most memory in MB that one of its processes has while it works at a picture."""
        for pid in self.pids():
            forget_peak(pid)
        return max(peak_mb(pid) for pid in self.run(path, SAME_MARK).pids)

    def growth(self, path: Path, pause_s: float = 0.0) -> tuple[float, int]:
        """By how many MB Redis grew at most, and over how many edges in Redis."""
        with connect(self.url) as client, Growth(client) as growth:
            run = self.run(path, pause_s=pause_s)
        return growth.mb, run.edges_across


def measure_images(rounds: int) -> list[Figure]:
    """First byte, total, memory of the workers and of Redis."""
    with Fleet(1) as fused, Fleet(2) as across:
        return [
            *_times(fused, across, max(5, rounds)),
            _small_first(fused, "fused"),
            _small_first(across, "across"),
            *_memory(fused, across),
            *_growth(fused, "fused"),
            *_growth(across, "across"),
        ]


def _times(fused: Fleet, across: Fleet, rounds: int) -> list[Figure]:
    path = photo()
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "pillow": lambda: _whole("pillow", path),
        "fused": lambda: _ours(fused, path),
        "vips": lambda: _whole("vips", path),
        "across": lambda: _ours(across, path),
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            taken[way].append(run())
    figures = []
    for way in TOTAL_GATES:
        figures += _compared(way, taken)
    tiled = [fleet.run(path, TILED).total_s for fleet in (fused, across)]
    text = f"fused {tiled[0]:.2f} s, across {tiled[1]:.2f} s"
    return [*figures, Figure("  tiled watermark", text, tiled[0])]


def _whole(library: str, path: Path) -> tuple[float, float]:
    total_s = run_whole(library, path)["total_s"]
    return total_s, total_s


def _ours(fleet: Fleet, path: Path) -> tuple[float, float]:
    run = fleet.run(path)
    return run.first_s, run.total_s


def _compared(way: str, taken: dict[str, list[tuple[float, float]]]) -> list[Figure]:
    firsts, totals = ([each[n] for each in taken[way]] for n in (0, 1))
    pillow, vips = ([each[1] for each in taken[library]] for library in ("pillow", "vips"))
    return [
        _ratio(f"108 MP {way}: first byte", firsts, pillow, "Pillow's total", FIRST_GATE),
        _ratio(f"108 MP {way}: total", totals, pillow, "Pillow", TOTAL_GATES[way]),
        _ratio(f"108 MP {way}: total", totals, vips, "libvips", VIPS_GATE),
    ]


def _ratio(
    name: str, ours: Sequence[float], theirs: Sequence[float], other: str, gate: float
) -> Figure:
    ratio = median(one / two for one, two in zip(ours, theirs, strict=True))
    text = f"{median(ours):.3f} s, {other} {median(theirs):.3f} s: {ratio:.3f} x"
    return Figure(name, text, ratio, at_most=gate)


def _small_first(fleet: Fleet, way: str) -> Figure:
    runs = [fleet.run(photo(*SMALL)) for _ in range(SMALL_RUNS)]
    first_ms, total_ms = (
        median(getattr(run, name) for run in runs) * 1e3 for name in ("first_s", "total_s")
    )
    text = f"{first_ms:.0f} ms, total {total_ms:.0f} ms"
    return Figure(f"12 MP {way}: first byte", text, first_ms, at_most=SMALL_FIRST_GATE_MS)


def _memory(fused: Fleet, across: Fleet) -> list[Figure]:
    whole = run_whole("pillow", photo())["peak_mb"]
    figures = []
    for way, fleet in {"fused": fused, "across": across}.items():
        peaks = [fleet.peak(photo(WIDTH, height)) for height in (HEIGHT // 3, HEIGHT, HEIGHT * 3)]
        ratio = peaks[1] / whole
        text = f"{peaks[1]:.0f} MB, Pillow {whole:.0f} MB: {ratio:.2f} x"
        figures.append(Figure(f"108 MP {way}: memory", text, ratio, at_most=PEAK_GATE))
        heights = ", ".join(f"{peak:.0f}" for peak in peaks)
        spread = max(peaks) / min(peaks)
        text = f"{heights} MB for 36, 108, 324 MP: {spread:.2f} x"
        figures.append(Figure("  by height", text, spread, at_most=FLAT_GATE))
    return figures


def _growth(fleet: Fleet, way: str) -> list[Figure]:
    figures = []
    for what, path, pause_s in (
        ("12 MP", photo(*SMALL), 0.0),
        ("108 MP", photo(), 0.0),
        ("108 MP, slow client", photo(), SLOW_PAUSE_S),
    ):
        grown_mb, edges = fleet.growth(path, pause_s)
        text = f"{grown_mb:.1f} MB over {edges} edges"
        limit = edges * WINDOW_MB + SPARE_MB
        figures.append(Figure(f"Redis, {way}, {what}", text, grown_mb, at_most=round(limit, 1)))
    return figures
