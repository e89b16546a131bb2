"""Checks of sizes, docstrings, scripts and words: each returns what is wrong."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.architecture.imports import imports
from tests.architecture.tree import Function, Module, functions, public, scripts, texts

MAX_FILE_LINES = 400
MAX_LUA_LINES = 60
MAX_BODY_LINES = 45
MEDIAN_BODY_LINES = 6
P90_BODY_LINES = 20

# What the header of a script tells, besides its purpose.
LUA_WORDS = ("keys", "argv", "verdict", "cost")

# Nouns that say nothing.
EMPTY_NAMES = frozenset("utils util helpers helper common misc stuff tools".split())
DISHONEST_CALLS = ("monkeypatch.setattr", "pytest.skip", "pytest.xfail", "pytest.mark.xfail")
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")))


def long_files(root: Path, modules: Iterable[Module]) -> list[str]:
    """Python files and Lua scripts over their limits."""
    found = [
        f"{module.path}: {lines} lines, at most {MAX_FILE_LINES}"
        for module in modules
        if (lines := len(module.text.splitlines())) > MAX_FILE_LINES
    ]
    for path in scripts(root):
        lines = len(path.read_text().splitlines())
        if lines > MAX_LUA_LINES:
            found.append(f"{path.relative_to(root)}: {lines} lines, at most {MAX_LUA_LINES}")
    return found


def long_functions(modules: Iterable[Module]) -> list[str]:
    """Functions whose body has more than `MAX_BODY_LINES` lines."""
    return [
        f"{module.path}:{function.lineno}: {function.name} has {lines} lines"
        for module in modules
        for function in functions(module)
        if (lines := body_lines(module, function)) > MAX_BODY_LINES
    ]


def long_habits(modules: Iterable[Module]) -> list[str]:
    """The median and the 90th percentile of function bodies, where over their limits."""
    sizes = [body_lines(module, f) for module in modules for f in functions(module)]
    if len(sizes) < 10:
        return []
    tenths = statistics.quantiles(sizes, n=10, method="inclusive")
    limits = {"median": (tenths[4], MEDIAN_BODY_LINES), "p90": (tenths[8], P90_BODY_LINES)}
    return [
        f"{name} of {len(sizes)} function bodies is {size:g} lines, at most {limit}"
        for name, (size, limit) in limits.items()
        if size > limit
    ]


def body_lines(module: Module, function: Function) -> int:
    """The lines of a body that hold code: no docstring, blank or comment."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    lines = module.text.splitlines()[body[0].lineno - 1 : body[-1].end_lineno]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def missing_docstrings(modules: Iterable[Module]) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    found: list[str] = []
    for module in modules:
        if ast.get_docstring(module.tree) is None and module.text.strip():
            found.append(f"{module.path}:1: no docstring")
        found += [
            f"{module.path}:{node.lineno}: {node.name} has no docstring"
            for node in public(module.tree)
            if ast.get_docstring(node) is None
        ]
    return found


def bare_lua(root: Path) -> list[str]:
    """Lua scripts whose header does not tell purpose, KEYS, ARGV, verdicts and cost."""
    found: list[str] = []
    for path in scripts(root):
        header = _header(path.read_text())
        missing = [word for word in LUA_WORDS if word not in header.lower()]
        if len(header.split("\n")[0].split()) < 3:
            missing.insert(0, "purpose (first line)")
        if missing:
            found.append(f"{path.relative_to(root)}: its header lacks {', '.join(missing)}")
    return found


def broad_excepts(modules: Iterable[Module], allowed: Mapping[str, str]) -> list[str]:
    """Handlers of everything, outside of the files of `allowed`."""
    return [
        f"{module.path}:{node.lineno}: handles every exception"
        for module in modules
        if module.path not in allowed
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type)
    ]


def dishonest_tests(modules: Iterable[Module], sleepers: Iterable[str]) -> list[str]:
    """Mocks, patched attributes, skips, and sleeps outside of the files of `sleepers`."""
    sleepers = frozenset(sleepers)
    found: list[str] = []
    for module in modules:
        found += [
            f"{module.path}:{line}: {target} in a test"
            for target, line, _ in imports(module)
            if target.split(".")[:2] == ["unittest", "mock"] or target in ("mock", "pytest_mock")
        ]
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            call = ast.unparse(node.func)
            # A sleep of 0 only lets others run.
            zero = [ast.unparse(argument) for argument in node.args] == ["0"]
            sleeps = call.endswith("sleep") and not zero and module.path not in sleepers
            if sleeps or call.endswith(DISHONEST_CALLS):
                found.append(f"{module.path}:{node.lineno}: {call} in a test")
    return found


def unfinished_words(root: Path) -> list[str]:
    """Marks of work that was left for later, in any text of the tree."""
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()[:80]}"
        for path in texts(root)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if UNFINISHED.search(line)
    ]


def empty_names(modules: Iterable[Module]) -> list[str]:
    """Modules and packages whose name is no noun of ours."""
    return [
        f"{module.path}: a name that says nothing"
        for module in modules
        if EMPTY_NAMES & set(module.name.split("."))
    ]


def _header(text: str) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.lstrip("- "))
    return "\n".join(lines)


def _is_broad(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_is_broad(element) for element in node.elts)
    return node is None or ast.unparse(node) in ("Exception", "BaseException")
