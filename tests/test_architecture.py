"""The tree keeps its shape, and each check of it can fail."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import imports, style, tree

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = tree.product(ROOT)
TESTS = tree.tests(ROOT)

LAZY_IMPORTS = {
    "penstock.py": "a file of tasks is loaded without Celery and Redis; the command after a check",
    "engine/__init__.py": "offers Engine by name without loading Celery for the language alone",
    "engine/cli/main.py": "a subcommand is imported when it is called, so that validate is fast",
    "engine/cli/validate.py": "a flow without tasks is checked without importing any",
    "tasks/extras.py": "modules of extras are imported when a task or store first needs one",
    "tasks/loading.py": "imports the modules that the user names",
    "workers/tracing.py": "OpenTelemetry is an extra, and slow to import where nobody wants it",
}
BROAD_EXCEPTS = {
    "workers/steps.py": "outermost: what a task raises becomes the failure of its step",
    "workers/streaming/stage.py": "outermost: what a stage raises becomes the failure of its step",
    "engine/runtime/streamed.py": "outermost: what a caller's source raises fails its stream",
    "engine/runtime/sweeping.py": "outermost: a timer that fails must not stop the others",
    "workers/relay.py": "outermost: what a broker's client raises must not end the thread",
    "workers/app.py": "outermost: a defect of the engine fails its execution, once",
}
SLEEPERS = (
    "tests/waiting.py",
    # There a fault lasts for a while, and another strikes a while later: nothing is waited for.
    "tests/chaos/faults.py",
    "tests/chaos/proxy.py",
    "tests/chaos/run.py",
    "tests/chaos/sleepers.py",
)
FACADE_NAMES = ["Engine", "ExecutionFailed", "TaskError", "task"]


def test_parts_import_only_what_is_below_them() -> None:
    assert imports.forbidden_imports(PRODUCT) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert imports.import_cycles(PRODUCT) == []


def test_redis_and_celery_are_used_in_their_places_only() -> None:
    assert imports.misplaced_imports(PRODUCT) == []


def test_imports_stand_at_the_top_but_for_the_named_places() -> None:
    assert imports.lazy_imports(PRODUCT, LAZY_IMPORTS) == []


def test_no_file_is_too_long() -> None:
    assert style.long_files(ROOT, [*PRODUCT, *TESTS]) == []


def test_no_function_is_too_long() -> None:
    assert style.long_functions([*PRODUCT, *TESTS]) == []


def test_most_functions_are_short() -> None:
    assert style.long_habits(PRODUCT) == []


def test_every_public_name_has_a_docstring() -> None:
    assert style.missing_docstrings(PRODUCT) == []


def test_every_lua_script_tells_its_contract() -> None:
    assert style.bare_lua(ROOT) == []


def test_only_the_outermost_loops_handle_every_exception() -> None:
    assert style.broad_excepts(PRODUCT, BROAD_EXCEPTS) == []


def test_tests_neither_sleep_nor_mock_nor_skip() -> None:
    assert style.dishonest_tests(TESTS, SLEEPERS) == []


def test_nothing_was_left_for_later() -> None:
    assert style.unfinished_words(ROOT) == []


def test_every_module_is_named_by_a_noun_of_ours() -> None:
    assert style.empty_names(PRODUCT) == []


def test_the_facade_exports_what_users_are_shown() -> None:
    facade = next(module for module in PRODUCT if module.path == tree.FACADE)
    exported = [
        ast.literal_eval(node.value)
        for node in facade.tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert exported == [FACADE_NAMES]


LONG_BODY = "def f() -> None:\n    '''Doc.'''\n" + "    print()\n" * 46
MANY_LONG = "\n".join(
    f"def f{n}() -> None:\n    '''Doc.'''\n" + "    print()\n" * 22 for n in range(12)
)
LUA_HEADER = "-- Claims one step.\n-- KEYS: 1\n-- ARGV: 1\n-- Verdicts: APPLIED\n-- Cost: O(1)\n"
WORD = "TO" + "DO"

Check = Callable[[Path], list[str]]


def _of_product(check: Callable[[list[tree.Module]], list[str]]) -> Check:
    return lambda root: check(tree.product(root))


BAD_TREES: dict[str, tuple[Check, dict[str, str], str]] = {
    "language imports the heart": (
        _of_product(imports.forbidden_imports),
        {"engine/fdl/a.py": "from engine.core import b\n", "engine/core/b.py": "X = 1\n"},
        "engine.fdl may not import engine.core",
    ),
    "type-only import upwards": (
        _of_product(imports.forbidden_imports),
        {
            "tasks/a.py": "if TYPE_CHECKING:\n    from engine.errors import E\n",
            "engine/errors.py": "",
        },
        "tasks may not import engine.errors",
    ),
    "relative import upwards": (
        _of_product(imports.forbidden_imports),
        {"engine/fdl/a.py": "from ..cli import b\n", "engine/cli/b.py": "X = 1\n"},
        "engine.fdl may not import engine.cli",
    ),
    "nobody imports workers": (
        _of_product(imports.forbidden_imports),
        {"engine/cli/a.py": "import workers.app\n", "workers/app.py": ""},
        "engine.cli may not import workers",
    ),
    "a circle of three": (
        _of_product(imports.import_cycles),
        {
            "tasks/a.py": "from tasks import b\n",
            "tasks/b.py": "from tasks.c import C\n",
            "tasks/c.py": "def f():\n    import tasks.a\n",
        },
        "tasks.a -> tasks.b -> tasks.c -> tasks.a",
    ),
    "redis in the heart": (
        _of_product(imports.misplaced_imports),
        {"engine/core/a.py": "import redis.asyncio\n"},
        "redis belongs to",
    ),
    "celery beside the canvas": (
        _of_product(imports.misplaced_imports),
        {"engine/runtime/store.py": "from celery import chain\n"},
        "celery belongs to",
    ),
    "lazy import": (
        _of_product(lambda modules: imports.lazy_imports(modules, LAZY_IMPORTS)),
        {"engine/core/a.py": "def f():\n    import json\n"},
        "lazy import of json",
    ),
    "import by name": (
        _of_product(lambda modules: imports.lazy_imports(modules, LAZY_IMPORTS)),
        {"engine/core/a.py": "def f():\n    importlib.import_module('json')\n"},
        "lazy import of json",
    ),
    "an extra in two places": (
        _of_product(lambda modules: imports.lazy_imports(modules, LAZY_IMPORTS)),
        {
            "tasks/a.py": "def f():\n    import boto3\n",
            "tasks/b.py": "def f():\n    import boto3\n",
        },
        "tasks/b.py:2: lazy import of boto3",
    ),
    "long file": (
        lambda root: style.long_files(root, tree.product(root)),
        {"tasks/a.py": "X = 1\n" * 401},
        "401 lines",
    ),
    "long script": (
        lambda root: style.long_files(root, []),
        {"streams/lua/a.lua": LUA_HEADER + "local x\n" * 60},
        "65 lines",
    ),
    "long function": (
        _of_product(style.long_functions),
        {"tasks/a.py": LONG_BODY},
        "f has 46 lines",
    ),
    "long functions as a habit": (
        _of_product(style.long_habits),
        {"tasks/a.py": MANY_LONG},
        "p90 of 12 function bodies is 22 lines",
    ),
    "method without docstring": (
        _of_product(style.missing_docstrings),
        {"tasks/a.py": "'''Doc.'''\nclass A:\n    '''Doc.'''\n    def f(self): ...\n"},
        "f has no docstring",
    ),
    "module without docstring": (
        _of_product(style.missing_docstrings),
        {"tasks/a.py": "X = 1\n"},
        "tasks/a.py:1: no docstring",
    ),
    "script without cost": (
        style.bare_lua,
        {"engine/runtime/lua/a.lua": LUA_HEADER.replace("Cost", "Price")},
        "lacks cost",
    ),
    "handles everything": (
        _of_product(lambda modules: style.broad_excepts(modules, BROAD_EXCEPTS)),
        {"tasks/a.py": "try:\n    f()\nexcept (ValueError, Exception):\n    pass\n"},
        "handles every exception",
    ),
    "bare except": (
        _of_product(lambda modules: style.broad_excepts(modules, BROAD_EXCEPTS)),
        {"tasks/a.py": "try:\n    f()\nexcept:\n    pass\n"},
        "handles every exception",
    ),
    "sleeping test": (
        lambda root: style.dishonest_tests(tree.tests(root), SLEEPERS),
        {"tests/test_a.py": "time.sleep(1)\n"},
        "time.sleep in a test",
    ),
    "mocking test": (
        lambda root: style.dishonest_tests(tree.tests(root), SLEEPERS),
        {"tests/test_a.py": "from unittest.mock import patch\n"},
        "unittest.mock.patch in a test",
    ),
    "patching test": (
        lambda root: style.dishonest_tests(tree.tests(root), SLEEPERS),
        {"tests/test_a.py": "def test(monkeypatch):\n    monkeypatch.setattr(a, 'b', 1)\n"},
        "monkeypatch.setattr in a test",
    ),
    "left for later": (
        style.unfinished_words,
        {"tasks/a.py": f"# {WORD}: the rest\n"},
        "the rest",
    ),
    "empty name": (
        _of_product(style.empty_names),
        {"engine/core/utils.py": ""},
        "a name that says nothing",
    ),
}


@pytest.mark.parametrize("name", BAD_TREES)
def test_a_check_finds_a_bad_tree(name: str, tmp_path: Path) -> None:
    check, files, expected = BAD_TREES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    findings = check(tmp_path)
    assert any(expected in finding for finding in findings), findings
