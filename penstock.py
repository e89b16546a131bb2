"""Penstock: what a program that uses it imports.

    from penstock import Engine, task, TaskError

The four packages behind it have plain names (engine, workers, tasks, streams), which a project
may use as well: a `tasks.py` next to a script is found before ours. That is noticed here, at
import, and not as a strange error later.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import ExecutionFailed
    from engine.runtime.engine import Engine
    from tasks import TaskError, task

__all__ = ["Engine", "ExecutionFailed", "TaskError", "task"]

_HOMES = {
    "Engine": "engine.runtime.engine",
    "ExecutionFailed": "engine.errors",
    "TaskError": "tasks.errors",
    "task": "tasks.registry",
}
_PACKAGES = ("engine", "workers", "tasks", "streams")


def _refuse_shadows(home: Path) -> None:
    """Checks that the packages found by their names are those beside this file.

    Raises:
        ImportError: another file would be imported; the message names it and the way out.
    """
    for package in _PACKAGES:
        spec = find_spec(package)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        ours = home / package / "__init__.py"
        if found == ours:
            continue
        if found is None:
            raise ImportError(f"penstock: its package '{package}' is not at {ours}; reinstall it")
        raise ImportError(
            f"penstock: {found} hides penstock's own package '{package}'; give that file or"
            f" folder another name (such as my_{package}), or start Python with -P"
        )


_refuse_shadows(Path(__file__).resolve().parent)


def __getattr__(name: str) -> Any:
    """Each name is imported on use: a file of tasks needs neither Celery nor Redis."""
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def _main() -> None:
    """The command `penstock`: here, so that a hidden package is noticed first."""
    from engine.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    _main()
