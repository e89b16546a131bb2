"""The commands that need no Redis, run as people run them: as the installed command."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

COMMAND = Path(sys.executable).with_name("penstock")

GOOD = """\
version: v1
type: flow
steps:
  - type: pass
    name: greet
    outputMappings:
      - target: text
        source: hello
"""
BAD = """\
version: v1
type: flow
steps:
  - type: pass
    nme: greet
  - type: choice
    name: pick
    choices:
      - condition: $.a ==
        goto: nowhere
"""
UNSERVED = """\
version: v1
type: flow
steps:
  - type: task
    name: call
    resourceArn: acs:fc:::services/shop/functions/nobody
"""
DOUBLING = """\
version: v1
type: flow
steps:
  - type: wait
    name: rest
    duration: 172800
  - type: task
    name: double
    resourceArn: double
"""
SUB_FLOW = """\
version: v1
type: flow
steps:
  - type: task
    name: child
    resourceArn: acs:fnf:::flow/other
    pattern: sync
"""
FAILING = """\
version: v1
type: flow
steps:
  - type: fail
    name: stop
    error: Broken
    cause: on purpose
"""
TASKS = """\
from penstock import task

@task("double")
def double(input):
    return {"n": 2 * input["n"]}
"""


def penstock(
    *words: str, cwd: Path, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *words],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **(env or {})},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {
        "good.yml": GOOD, "bad.yml": BAD, "unserved.yml": UNSERVED, "doubling.yml": DOUBLING,
        "sub.yml": SUB_FLOW, "failing.yml": FAILING, "my_tasks.py": TASKS,
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_valid_flow_passes_without_a_word(folder: Path) -> None:
    done = penstock("validate", "good.yml", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_problem_of_a_file_has_its_line_and_column(folder: Path) -> None:
    done = penstock("validate", "bad.yml", cwd=folder)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert any(line.startswith("bad.yml:5:5: error: UNKNOWN_KEY ") for line in lines)
    assert any(line.startswith("bad.yml:9:") for line in lines)
    assert all(": error: " in line or ": warning: " in line for line in lines)
    assert "did you mean 'name'" in done.stdout


def test_several_files_are_all_read_and_a_missing_one_is_named(folder: Path) -> None:
    done = penstock("validate", "missing.yml", "bad.yml", "good.yml", cwd=folder)
    assert done.returncode == 2
    assert "bad.yml:5:5: error" in done.stdout
    assert done.stderr == "penstock: missing.yml: no such flow file\n"


def test_a_flow_can_come_through_stdin(folder: Path) -> None:
    done = penstock("validate", "-", cwd=folder, stdin=BAD)
    assert done.returncode == 1
    assert "-:5:5: error" in done.stdout


def test_a_task_that_nobody_has_is_a_warning(folder: Path) -> None:
    done = penstock("validate", "unserved.yml", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("unserved.yml:4:5: warning: TASK_UNKNOWN call: ")
    assert "shop/nobody" in done.stdout


def test_a_task_of_a_named_file_is_known(folder: Path) -> None:
    done = penstock("validate", "doubling.yml", "--tasks", "my_tasks.py", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")


def test_tasks_that_cannot_be_loaded_are_one_line(folder: Path) -> None:
    done = penstock("validate", "doubling.yml", "--tasks", "no_tasks.py", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == "penstock: --tasks no_tasks.py: no such file\n"


def test_the_schema_accepts_a_good_flow_and_refuses_a_bad_one(folder: Path) -> None:
    done = penstock("schema", cwd=folder)
    schema = json.loads(done.stdout)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(BAD), schema)


def test_a_simulation_runs_tasks_and_waits_two_days_at_once(folder: Path) -> None:
    done = penstock(
        "simulate", "doubling.yml", "--input", '{"n": 21}', "--tasks", "my_tasks.py",
        "--now", "2026-01-01T00:00:00Z", cwd=folder,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (result["status"], result["output"]) == ("Succeeded", {"n": 42})
    assert result["error"] is result["cause"] is None
    history = result["history"]
    assert history[0]["type"] == "ExecutionStarted"
    assert history[0]["time"] == 1767225600.0
    assert history[-1]["time"] - history[0]["time"] >= 172800


def test_a_failed_simulation_tells_error_and_cause_and_exits_1(folder: Path) -> None:
    done = penstock("simulate", "failing.yml", "--history", cwd=folder)
    result = json.loads(done.stdout)
    assert done.returncode == 1
    assert (result["status"], result["output"]) == ("Failed", None)
    assert (result["error"], result["cause"]) == ("Broken", "on purpose")
    assert "StepEntered" in done.stderr


def test_a_sub_flow_is_handed_over_by_name(folder: Path) -> None:
    done = penstock("simulate", "sub.yml", "--flow", "other=good.yml", cwd=folder)
    assert json.loads(done.stdout)["output"] == {"text": "hello"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--input", "{"), "--input: not JSON"),
        (("--input", "[1]"), "--input: the input must be a JSON object, not a list"),
        (("--input", '{"n": NaN}'), "NaN is no JSON number"),
        (("--input", '{"n": 1e999}'), "--input: not JSON that can be used"),
        (("--input", '{"n": "\\ud800"}'), "--input: not JSON that can be used"),
        (("--input", f'{{"n": {"1" * 5000}}}'), "--input: not JSON that can be used"),
        (("--input", f"{'[' * 50_000}{']' * 50_000}"), "--input: not JSON that can be used"),
        (("--input", "@none.json"), "none.json: no such input file"),
        (("--flow", "other"), "--flow other: write NAME=FILE"),
        (("--now", "yesterday"), "--now: 'yesterday' is no RFC 3339 timestamp"),
        (("--mocks", "none.yml"), "none.yml: no such mocks file"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_2(
    folder: Path, words: tuple[str, ...], line: str
) -> None:
    done = penstock("simulate", "good.yml", *words, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr


def test_a_bad_flow_is_not_simulated(folder: Path) -> None:
    done = penstock("simulate", "bad.yml", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "bad.yml:5:5: error: UNKNOWN_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_input_file_is_read(folder: Path) -> None:
    (folder / "input.json").write_text('{"n": 4}')
    done = penstock(
        "simulate", "doubling.yml", "--input", "@input.json", "--tasks", "my_tasks.py", cwd=folder
    )
    assert json.loads(done.stdout)["output"] == {"n": 8}


def test_files_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    (folder / "flow.yml").write_text("\ufeff" + BAD.replace("\n", "\r\n"), newline="")
    (folder / "input.json").write_text('\ufeff{"n": 4}')
    assert "flow.yml:5:5: error: UNKNOWN_KEY" in penstock("validate", "flow.yml", cwd=folder).stdout
    done = penstock("simulate", "good.yml", "--input", "@input.json", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_file_named_tasks_in_the_current_folder_hides_nothing(folder: Path) -> None:
    (folder / "tasks.py").write_text("raise SystemExit('the wrong file')")
    done = penstock("validate", "unserved.yml", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_file_that_hides_our_packages_is_named_at_import(folder: Path) -> None:
    (folder / "tasks.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import penstock"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert str(folder.resolve() / "tasks.py") in done.stderr.splitlines()[-1]
    assert "another name" in done.stderr.splitlines()[-1]


def test_validate_imports_nothing_slow_that_it_does_not_need(folder: Path) -> None:
    done = penstock("validate", "good.yml", cwd=folder, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0, done.stderr
    told = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines())
    imported = {name.partition(".")[0] for name in told}
    assert {"engine", "yaml"} <= imported
    assert imported.isdisjoint(
        {"asyncio", "celery", "fastapi", "httpx", "kombu", "opentelemetry", "PIL", "redis", "rich"}
    )


def test_validate_starts_fast(folder: Path) -> None:
    """It takes 0.3 s where its libraries take 0.14: of processor time, on any machine."""

    def cpu_s(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    libraries = "import jsonpath_rfc9535, pydantic, regex, typer, yaml"
    validates, imports = (
        min(cpu_s(*command) for _ in range(3))
        for command in ((str(COMMAND), "validate", "good.yml"), (sys.executable, "-c", libraries))
    )
    assert validates < 3.5 * imports


def test_help_and_version_answer(folder: Path) -> None:
    help_text = penstock("--help", cwd=folder).stdout
    assert all(command in help_text for command in ("validate", "simulate", "schema"))
    assert penstock("--version", cwd=folder).stdout.startswith("penstock ")


def test_an_unknown_command_is_exit_2(folder: Path) -> None:
    assert penstock("validat", cwd=folder).returncode == 2
