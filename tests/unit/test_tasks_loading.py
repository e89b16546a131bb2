"""Loading tasks from modules and files; what is wrong is told in one line."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from tasks import registry
from tasks.errors import DuplicateTask, TaskError, TaskLoadError

TASK = """
from tasks import task

@task({name!r})
def work(input):
    return {{"from": __name__}}
"""


def _file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_file_is_loaded_once_and_its_tasks_are_named(tmp_path: Path) -> None:
    source = _file(tmp_path, "mine.py", TASK.format(name="loading:file"))
    assert tasks.load_tasks(source) == ("loading:file",)
    assert tasks.load_tasks(source) == ()
    assert registry.find(["loading:file"]) is not None


def test_a_file_named_like_our_package_shadows_nothing(tmp_path: Path) -> None:
    source = _file(tmp_path, "tasks.py", TASK.format(name="loading:shadow"))
    assert tasks.load_tasks(source) == ("loading:shadow",)
    assert sys.modules["tasks"] is tasks


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    _file(tmp_path, "penstock_test_neighbour.py", "NAME = 'loading:neighbour'\n")
    text = "from penstock_test_neighbour import NAME\n" + TASK.format(name="x").replace(
        "'x'", "NAME"
    )
    assert tasks.load_tasks(_file(tmp_path, "with_neighbour.py", text)) == ("loading:neighbour",)


def test_a_module_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "penstock_test_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    _file(package, "work.py", TASK.format(name="loading:module"))
    assert tasks.load_tasks("penstock_test_package.work") == ("loading:module",)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("no_such_module_here", "no such module"),
        ("json.no_such_part", "no such module"),
        ("no/such/file.py", "no such file"),
        ("not a name", "neither a module's name"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(source: str, says: str) -> None:
    with pytest.raises(TaskLoadError) as caught:
        tasks.load_tasks(source)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{source}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\nraise ValueError('two\\nlines')\n", "ValueError: two lines (line 2 of "),
        ("import no_such_module_here\n", "No module named 'no_such_module_here' (line 1 of "),
        ("class Odd(Exception): ...\nraise Odd()\n", "Odd: no message"),
    ],
)
def test_a_file_whose_code_fails_is_told_in_one_line_and_can_be_mended(
    tmp_path: Path, text: str, says: str
) -> None:
    source = _file(tmp_path, "bad.py", text)
    with pytest.raises(TaskLoadError) as caught:
        tasks.load_tasks(source)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    name = f"loading:mended-{tmp_path.name}"
    assert tasks.load_tasks(_file(tmp_path, "bad.py", TASK.format(name=name) + "# longer\n")) == (
        name,
    )


def test_a_name_that_is_taken_is_an_error_of_the_load(tmp_path: Path) -> None:
    tasks.shipped()
    source = _file(tmp_path, "thief.py", TASK.format(name="oss:restore"))
    with pytest.raises(TaskLoadError, match="'oss:restore' is registered twice"):
        tasks.load_tasks(source)


def test_the_shipped_tasks_have_the_names_that_flows_use() -> None:
    tasks.shipped()
    assert {
        "listArchiveFiles",
        "oss:listArchiveFiles",
        "oss:restore",
        "oss:restoreStatus",
        "OSSRestoreService/restoreFunction",
        "OSSRestoreService/restoreStatusFunction",
    } <= set(registry.tasks())


def test_the_shipped_tasks_load_no_sdk() -> None:
    code = (
        "import sys, tasks; tasks.shipped(); "
        "print([m for m in ('boto3', 'botocore', 'alibabacloud_oss_v2', 'http.server', "
        "'redis', 'celery') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "error",
    [TaskError("A.B", "why"), DuplicateTask("n", "why"), TaskLoadError("file.py", "why")],
)
def test_errors_survive_the_way_between_processes(error: TaskError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.code, again.cause) == (str(error), error.code, error.cause)
