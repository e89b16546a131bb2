"""What the README shows is what happens."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runtime.embedded import EmbeddedRedis
from tests.command import TIMEOUT_S, Background, environment, penstock
from tests.processes import WorkerProcess
from tests.readme_blocks import Block, blocks_of, commands_of

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
STREAMS = ROOT / "docs" / "streams.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = blocks_of(README)
FAKE_PORT = "9000"
GROUPS = ("flow", "keys", "schedule")
"""Commands that have commands of their own."""

NOT_RUN = {
    "make demo": "tests/integration/test_cli_processes.py runs the demo; make test is this",
    "export PENSTOCK_REDIS_URL=": "runs until it is stopped, on a Redis of the reader's",
    "penstock pause": "needs one that failed; tests/acceptance/test_operations.py does",
    "penstock worker": "runs until it is stopped; tests/integration/test_cli_processes.py does",
    "penstock up": "runs until it is stopped; tests/integration/test_cli_processes.py does",
    "curl": "needs what `penstock up` starts; tests/api does the same",
}
"""How the bash blocks begin that are only read, and why; their commands and options must exist."""


def _is_run(block: Block) -> bool:
    return block.language == "bash" and not block.text.startswith(tuple(NOT_RUN))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README shows."""
    path = tmp_path_factory.mktemp("readme")
    for block in BLOCKS:
        if block.file:
            (path / block.file).write_text(block.text)
    return path


@pytest.fixture(scope="module")
def redis_url_with_worker(folder: Path) -> Iterator[str]:
    with EmbeddedRedis() as server, WorkerProcess(server.url, [folder / "greetings.py"]):
        yield server.url


def test_it_is_short_and_every_block_has_a_language() -> None:
    assert len(README.read_text().splitlines()) <= 300
    assert {block.language for block in BLOCKS} <= {"bash", "python", "yaml", "json", "text"}
    assert all(block.file for block in BLOCKS if block.language in ("python", "yaml"))


def test_every_flow_that_is_shown_is_valid(folder: Path) -> None:
    flows = [block.file for block in BLOCKS if block.language == "yaml"]
    done = penstock(
        "validate", *flows, "--tasks", "greetings.py", "--tasks", "photos.py", cwd=folder
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_program_prints_what_is_shown(folder: Path, redis_url_with_worker: str) -> None:
    program = next(i for i, block in enumerate(BLOCKS) if block.file == "monday.py")
    done = subprocess.run(
        [sys.executable, "monday.py"], cwd=folder, capture_output=True, text=True,
        timeout=TIMEOUT_S, env=environment({"PENSTOCK_REDIS_URL": redis_url_with_worker}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert _lines(done.stdout) == _lines(BLOCKS[program + 1].text)


@pytest.mark.parametrize("number", [i for i, block in enumerate(BLOCKS) if _is_run(block)])
def test_a_shell_block_works_and_prints_what_is_shown(
    number: int, folder: Path, redis_url_with_worker: str
) -> None:
    block = BLOCKS[number]
    # What brings its tasks along needs no Redis; the others use the one that runs.
    alone = "--tasks" in block.text or "fake-oss" in block.text
    env = {} if alone else {"PENSTOCK_REDIS_URL": redis_url_with_worker}
    with _bash(block.text, ROOT if "tasks/oss" in block.text else folder, env) as shell:
        assert shell.process.wait(TIMEOUT_S) == 0, shell.stderr
        for shown in BLOCKS[number + 1 : number + 2]:
            if shown.language == "json":
                assert json.loads(shell.stdout) == json.loads(shown.text)
            if shown.language == "text":
                assert _lines(shell.stdout) == _lines(shown.text)


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS + blocks_of(STREAMS) if block.language == "bash"],
    ids=lambda block: f"line {block.line}",
)
def test_every_command_and_option_exists(block: Block, folder: Path) -> None:
    for words, options in commands_of(block, "penstock"):
        command = words[:2] if words[0] in GROUPS else words[:1]
        done = penstock(*command, "--help", cwd=folder)
        assert done.returncode == 0, done.stderr
        for option in options:
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", done.stdout), (command, option)
    for words, _ in commands_of(block, "make"):
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_reason_not_to_run_a_block_is_needed() -> None:
    shells = [block.text for block in BLOCKS if block.language == "bash"]
    unused = [start for start in NOT_RUN if not any(text.startswith(start) for text in shells)]
    assert unused == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = [target.split("#") for target in re.findall(r"\]\(([^)]+)\)", page.read_text())]
    for file, *anchor in targets:
        if ":" in file:
            continue
        other = page.parent / file if file else page
        assert other.exists(), file
        assert not anchor or anchor[0] in _anchors(other), (file, anchor)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _bash(text: str, folder: Path, env: dict[str, str]) -> Background:
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    script = f"set -euo pipefail\nexport PATH={path}\n{text.replace(FAKE_PORT, _free_port())}"
    return Background("bash", "-c", script, cwd=folder, env=env)


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]
