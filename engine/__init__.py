"""The engine: what should happen next in a flow, and what has happened."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.errors import EngineError
    from engine.runtime.engine import Engine

__all__ = ["Engine", "EngineError"]

_HOMES = {"Engine": "engine.runtime.engine", "EngineError": "engine.errors"}


def __getattr__(name: str) -> Any:
    """Each name is imported on use: the language alone needs neither Celery nor Redis."""
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
