"""Loading: imports the modules and files whose import registers tasks."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType

from tasks.errors import DuplicateTask, TaskLoadError
from tasks.registry import tasks

SHIPPED = ("tasks.oss", "tasks.bytes", "tasks.text", "tasks.image")
"""Packages that come with Penstock; light to import, their SDKs are loaded when first used."""


def load_tasks(source: str) -> tuple[str, ...]:
    """Imports `source`, a module (`package.module`) or a file (`path/file.py`).

    The file's folder and the current folder go to the end of the import path, never to its
    start, so nothing installed is shadowed. Loading the same source twice changes nothing.

    Returns:
        The names of the tasks that this call added.

    Raises:
        TaskLoadError: It is not there, or its import failed; one line.
    """
    before = set(tasks())
    with _Importing(source):
        if source.endswith(".py"):
            _load_file(source)
        else:
            _load_module(source)
    return tuple(sorted(set(tasks()) - before))


def shipped() -> tuple[str, ...]:
    """Registers the tasks that come with Penstock; the names this call added."""
    return tuple(name for source in SHIPPED for name in load_tasks(source))


def warm() -> None:
    """Does in this process what the first use of a shipped task would have to wait for."""
    for source in SHIPPED:
        getattr(sys.modules.get(source), "warm", _nothing)()


def _nothing() -> None:
    """What most packages have to do."""


def shipped_flows() -> dict[str, Path]:
    """The flows that come with Penstock: name to file."""
    found = Path(__file__).parent.glob("*/flows/*.yml")
    return {path.stem: path for path in sorted(found)}


class _Importing:
    """Turns whatever the import of somebody's module raises into a TaskLoadError of one line.

    A class, because a module may raise anything at all at its import; Ctrl-C and exits pass.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, TaskLoadError) or not isinstance(error, Exception):
            return
        if isinstance(error, DuplicateTask):
            raise TaskLoadError(self.source, str(error)) from error
        what = " ".join(str(error).split()) or "no message"
        raise TaskLoadError(
            self.source, f"its import failed: {type(error).__name__}: {what}{_line_of(error)}"
        ) from error


def _line_of(error: Exception) -> str:
    """Where in somebody's own file it happened, left out when only the import system shows."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    # A syntax error names its own line already.
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" (line {frames[-1].lineno} of {frames[-1].filename})"


def _load_module(name: str) -> None:
    if not all(part.isidentifier() for part in name.split(".")):
        raise TaskLoadError(name, "neither a module's name (package.module) nor a .py file")
    _append_to_path(Path.cwd())
    if _is_missing(name):
        raise TaskLoadError(
            name, "no such module; the current folder and the installed packages were searched"
        )
    importlib.import_module(name)


def _is_missing(name: str) -> bool:
    """True when the module itself cannot be found, as opposed to something that it imports."""
    if name in sys.modules:
        return False
    parent = name.rpartition(".")[0]
    if parent and _is_missing(parent):
        return True
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError as error:
        # A parent that is a plain module has no submodules.
        return error.name == name or (parent != "" and error.name == parent)


def _load_file(source: str) -> None:
    path = Path(source).expanduser().resolve()
    if not path.is_file():
        raise TaskLoadError(source, "no such file")
    name = _module_name(path)
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskLoadError(source, "not a Python file")
    _append_to_path(path.parent)
    _append_to_path(Path.cwd())
    module = importlib.util.module_from_spec(spec)
    with _in_sys_modules(name, module):
        spec.loader.exec_module(module)


@contextmanager
def _in_sys_modules(name: str, module: ModuleType) -> Iterator[None]:
    """Enters the module, as dataclasses and pydantic ask for it; takes it out if its code fails."""
    sys.modules[name] = module
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            del sys.modules[name]


def _module_name(path: Path) -> str:
    """A name of its own per file: `tasks.py` of a project must not become our package `tasks`."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return f"penstock_tasks_{path.stem}_{digest}"


def _append_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
