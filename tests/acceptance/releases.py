"""Releases: trees of the product in other versions, whose workers and clients run beside ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.runtime.documents import STATE_VERSION
from tests.processes import WorkerProcess

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("engine", "workers", "tasks", "streams", "penstock.py")
DOCUMENTS = Path("engine/runtime/documents.py")
POINTER = Path("engine/runtime/pointer.py")
KIND = "    kind: Kind\n"
VERSION = re.compile(r'^STATE_VERSION = "(.+)"$', re.MULTILINE)
RELEASE = re.compile(r"v\d+\.\d+\.\d+")
STARTS = """
import json, sys
import engine
from penstock import Engine
for name in sys.argv[3:]:
    Engine().start_execution(sys.argv[1], json.loads(sys.argv[2]), name=name)
print(engine.__file__)
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder with a version of the product in it."""

    path: Path

    @property
    def state_version(self) -> str:
        """The version of the state that its workers know."""
        found = VERSION.search((self.path / DOCUMENTS).read_text())
        assert found, f"{self.path / DOCUMENTS} names no version of the state"
        return found[1]

    def worker(self, url: str, tasks: Path, env: dict[str, str]) -> WorkerProcess:
        """A worker of this version, with one slot."""
        own = env | {"PYTHONPATH": str(self.path)}
        return WorkerProcess(url, [tasks], ["-c", "1"], own, self.path)

    def start(self, url: str, flow: str, input: str, names: Iterable[str]) -> None:
        """Has a client of this version start executions."""
        done = subprocess.run(
            [sys.executable, "-c", STARTS, flow, input, *names],
            cwd=self.path,
            env=os.environ | {"PYTHONPATH": str(self.path), "PENSTOCK_REDIS_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).is_relative_to(self.path), done.stdout


def previous_release(root: Path = ROOT) -> str | None:
    """The newest tag vX.Y.Z before what is checked out; None: there is none (or no git)."""
    if shutil.which("git") is None or not (root / ".git").exists():
        return None
    # HEAD itself may be the release that is being made.
    told = ["git", "tag", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-version:refname"]
    done = subprocess.run(told, cwd=root, capture_output=True, text=True)
    tags = done.stdout.split()
    return next((tag for tag in tags if RELEASE.fullmatch(tag)), None)


def tree_of(tag: str, folder: Path, root: Path = ROOT) -> Tree:
    """The tree of a release."""
    told = ["git", "archive", tag, *PRODUCT]
    archive = subprocess.run(told, cwd=root, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return Tree(folder)


def copy_of_ours(folder: Path, state_version: str | None = None) -> Tree:
    """Our own tree once more; with a version, as if it kept that: its pointers say more, too."""
    folder.mkdir(exist_ok=True)
    for name in PRODUCT:
        if (ROOT / name).is_dir():
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        else:
            shutil.copy(ROOT / name, folder / name)
    if state_version is not None:
        _replace(folder / DOCUMENTS, f'"{STATE_VERSION}"', f'"{state_version}"')
        _replace(folder / POINTER, KIND, f'{KIND}    realm: str = "of the future"\n')
    return Tree(folder)


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} is not once in {file}"
    file.write_text(text.replace(old, new))
