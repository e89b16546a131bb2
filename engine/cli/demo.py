"""`make demo`: 300 archived objects are restored, and a photo is streamed through four steps at
once, on a real Redis and two worker processes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

import tasks.oss
from engine.cli.connection import engine_at
from engine.cli.demo_archive import BUCKET, OBJECTS, THAW_S, DemoArchive, Outcome
from engine.cli.demo_picture import stream_picture
from engine.cli.deployment import deploy, read_deployment
from engine.cli.display import Display, make_display
from engine.cli.ending import ending_in_order
from engine.cli.exits import exit_code, lines_of
from engine.cli.local import own_worker
from engine.cli.run import follow_or_stop
from engine.config import load_settings
from engine.errors import EngineError
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.views import Execution

OUTPUT = Path("demo-output")
RESULT = "restore-result.txt"
PAGE_KEYS = 100
GROUP_KEYS = 5
POLL_S = 0.5
WORKERS = 2
SLOTS = 2

_FLOWS = Path(tasks.oss.__file__).with_name("flows")
_INTERRUPTED = 130


def main() -> int:
    """Runs the demo in the current folder; 0 if every object is readable again, else 1."""
    console = Console(stderr=True)
    try:
        with ending_in_order():
            return _demo(console)
    except EngineError as error:
        print(*lines_of(error), sep="\n", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _demo(console: Console) -> int:
    archive = DemoArchive(OUTPUT / "archive")
    before = archive.states()
    frozen = sum(state == "frozen" for state in before.values())
    _tell(console, f"archive  {frozen} frozen objects in {archive.root}, thawing in {THAW_S:g} s")
    with ExitStack() as stack:
        display = make_display(console)
        engine = _stack(stack, console, display, archive)
        execution = _restore(engine, display, archive)
        streamed = stream_picture(engine, OUTPUT)
    took_s = (execution.stopped_time or 0) - execution.started_time
    if execution.error:
        _tell(console, f"{execution.status}: {execution.error}: {execution.cause}")
    outcomes = archive.outcomes(before)
    restored = sum(outcome.readable and outcome.before == "frozen" for outcome in outcomes)
    result = _write_result(outcomes)
    print(*streamed.lines, sep="\n")
    print(f"restored {restored} of {OBJECTS} objects in {took_s:.1f} s")
    print(f"result: {result}")
    print(f"picture: {streamed.path}")
    return 0 if restored == OBJECTS and streamed.well else 1


def _stack(stack: ExitStack, console: Console, display: Display, archive: DemoArchive) -> Engine:
    """An embedded Redis and two worker processes, which end with the stack; an engine at it."""
    redis = stack.enter_context(EmbeddedRedis())
    _tell(console, f"redis    embedded, process {redis.pid}")
    slots = ["-c", str(load_settings().concurrency or SLOTS)]
    # Its picture is to be seen in several processes, however slow the machine is.
    environment = {"PENSTOCK_STREAM_GATHER_S": "5"} | archive.environment
    for _ in range(WORKERS):
        worker = own_worker(redis.url, [], display.say, slots, environment)
        stack.enter_context(worker)
        _tell(console, f"worker   process {worker.pid}, {slots[-1]} slots")
    return stack.enter_context(engine_at(redis.url))


def _restore(engine: Engine, display: Display, archive: DemoArchive) -> Execution:
    """Runs the two flows."""
    main_file, sub_file = str(_FLOWS / "mainRestoreFlow.yml"), str(_FLOWS / "restoreFlow.yml")
    files = read_deployment(main_file, [f"restoreFlow={sub_file}"])
    given = {
        "endpoint": archive.root.as_uri(),
        "bucketName": BUCKET,
        "prefix": "",
        "marker": "",
        "maxKeys": PAGE_KEYS,
        "groupSize": GROUP_KEYS,
        "pollInterval": POLL_S,
        "workers": 4,
    }
    deploy(engine, files)
    run = engine.start_execution(files[0].name, given, "demo")
    return follow_or_stop(engine, display, run.flow_name, run.name)


def _write_result(outcomes: Sequence[Outcome]) -> Path:
    path = OUTPUT / RESULT
    lines = (f"{each.key}\t{each.before}\t{each.after}\n" for each in outcomes)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _tell(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
