"""The local store at its full size, and shared by processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.storage import LocalStore
from tests.restore_loop import restore_all

OBJECTS = 2000

RESTORER = """
import json, sys
from collections import Counter
from pathlib import Path
from tasks.storage import LocalStore

store = LocalStore(Path(sys.argv[1]), thaw_s=60)
outcomes = Counter(store.restore("archive", info.key).value for info in
                   store.list_page("archive").objects)
print(json.dumps(outcomes))
"""


def _fill(folder: Path, objects: int) -> LocalStore:
    store = LocalStore(folder, thaw_s=0.2)
    store.create_bucket("archive")
    for number in range(objects):
        key = f"{number % 7}/{number:05d}"
        store.put("archive", key, key.encode(), "Archive")
    return store


def test_two_thousand_objects_are_restored_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _fill(tmp_path, OBJECTS)
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", tmp_path.as_uri())
    monkeypatch.setenv("PENSTOCK_STORAGE_LOCAL_THAW_S", "0.2")
    input = {"endpoint": tmp_path.as_uri(), "bucketName": "archive", "maxKeys": 500}
    assert restore_all(input | {"groupSize": 10, "workers": 4}, tasks_at_once=2) == (OBJECTS, 4)
    for number in range(OBJECTS):
        key = f"{number % 7}/{number:05d}"
        assert store.read("archive", key) == key.encode()


def test_of_processes_that_restore_at_once_one_starts_each_object(tmp_path: Path) -> None:
    _fill(tmp_path, 200)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RESTORER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    counts = [json.loads(process.communicate(timeout=30)[0]) for process in processes]
    assert sum(count.get("started", 0) for count in counts) == 200
    assert sum(sum(count.values()) for count in counts) == 600
