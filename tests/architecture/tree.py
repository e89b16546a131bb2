"""A tree of files, read for the checks of its shape."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

PACKAGES = ("engine", "workers", "tasks", "streams")
FACADE = "penstock.py"
TEXT_SUFFIXES = (".py", ".lua", ".md", ".toml", ".yml", ".yaml", ".cfg", ".html", ".js", ".css")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file. `path` is relative to the tree, `name` what an import calls it."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def unit(self) -> str:
        """The part of the product it belongs to: a key of `MAY_IMPORT`."""
        return unit_of(self.name)


def unit_of(name: str) -> str:
    """`engine.fdl.parser` -> `engine.fdl`, `tasks.oss.handlers` -> `tasks`."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "engine" else parts[0]


def product(root: Path) -> list[Module]:
    """The modules of the four packages and the facade."""
    files = [path for name in PACKAGES for path in sorted((root / name).rglob("*.py"))]
    facade = root / FACADE
    return [_module(root, path) for path in [*files, *([facade] if facade.exists() else [])]]


def tests(root: Path) -> list[Module]:
    """The modules under `tests`."""
    return [_module(root, path) for path in sorted((root / "tests").rglob("*.py"))]


def texts(root: Path) -> list[Path]:
    """The text files that are the product's own."""
    tops = [root / name for name in (*PACKAGES, "tests", "docs") if (root / name).is_dir()]
    inside = [path for top in tops for path in top.rglob("*") if path.suffix in TEXT_SUFFIXES]
    return sorted([*inside, *(p for p in root.glob("*") if p.suffix in TEXT_SUFFIXES)])


def scripts(root: Path) -> list[Path]:
    """The Lua scripts of the four packages."""
    return [path for name in PACKAGES for path in sorted((root / name).rglob("*.lua"))]


def functions(module: Module) -> list[Function]:
    """Every function of a module, methods and nested ones too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(module.tree) if isinstance(node, kinds)]


def public(node: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | Function]:
    """Public classes, functions and methods, without overloads and setters."""
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        marks = {ast.unparse(mark) for mark in child.decorator_list}
        if child.name.startswith("_") or any(m.endswith((".setter", "overload")) for m in marks):
            continue
        yield child
        if isinstance(child, ast.ClassDef):
            yield from public(child)


def _module(root: Path, path: Path) -> Module:
    relative = path.relative_to(root)
    parts = list(relative.with_suffix("").parts)
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text()
    return Module(relative.as_posix(), name, text, ast.parse(text, str(path)))
