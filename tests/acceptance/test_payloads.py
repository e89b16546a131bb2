"""Payloads: large ones travel, too large ones are refused, and every script's letters survive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.runtime.engine import Engine
from tests.acceptance.running import fresh_engine, history, of_type, one_line, run
from tests.processes import WorkerProcess

WORKING = Path(__file__).with_name("working_tasks.py")
MB = 1_000_000


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with fresh_engine() as (engine, url), WorkerProcess(url, [WORKING], ["-c", "1"]):
        yield engine


def test_a_large_result_travels_through_steps(engine: Engine) -> None:
    steps = """
- {type: task, name: make, resourceArn: large}
- {type: task, name: once, resourceArn: grow}
- {type: task, name: twice, resourceArn: grow}
"""
    ended = run(engine, "large", steps, {"bytes": MB})
    assert ended.output == {"text": "0123456789" * (MB // 10) + "!!"}, ended.cause
    returned = of_type(history(engine, ended), EventType.TASK_SUCCEEDED)
    assert [len(one["output"]["text"]) for one in returned] == [MB, MB + 1, MB + 2]


def test_a_large_result_leaves_the_queue_and_the_state_small(engine: Engine) -> None:
    ended = run(engine, "apart", "- {type: task, name: make, resourceArn: large}", {"bytes": MB})
    record = engine.runtime.store.record(f"{ended.flow_name}:{ended.name}")
    assert sum(map(len, record.values())) < 10_000


def test_a_result_over_the_limit_fails_its_step(engine: Engine) -> None:
    steps = "- {type: task, name: make, resourceArn: large}"
    ended = run(engine, "too_large", steps, {"bytes": 20 * MB})
    assert (ended.status, ended.error) == ("Failed", "FnF.PayloadTooLarge")
    assert one_line(ended.cause) and "16777216" in str(ended.cause)


def test_results_that_are_too_large_together_fail_the_flow_where_they_meet(engine: Engine) -> None:
    steps = """
- {type: task, name: one, resourceArn: large, outputMappings: [{target: a, source: $local.text}]}
- {type: task, name: two, resourceArn: large, outputMappings: [{target: b, source: $local.text}]}
- {type: task, name: both, resourceArn: grow}
"""
    ended = run(engine, "together", steps, {"bytes": 9 * MB})
    assert (ended.status, ended.error) == ("Failed", "FnF.PayloadTooLarge")
    assert one_line(ended.cause) and "PENSTOCK_PAYLOAD_LIMIT_BYTES" in str(ended.cause)


def test_every_letter_survives(engine: Engine) -> None:
    steps = """
- type: task
  name: check
  resourceArn: "überprüfen 検査/λ"
  inputMappings:
    - {target: frage, source: $input.frage}
    - {target: "ключ", source: "значение \U0001f40d"}
  outputMappings:
    - {target: 回答, source: "$local.回答"}
    - {target: keys, source: "$local['keys']"}
- type: choice
  name: decide
  choices:
    - condition: $.回答 == "«¿Qué? 🦀» 👩‍🚀"
      goto: last
- {type: fail, name: wrong}
- {type: task, name: last, resourceArn: fehler}
"""
    ended = run(engine, "letters", steps, {"frage": "¿Qué? 🦀"})
    assert (ended.error, ended.cause) == ("Größe.Überschritten", "zu groß: 🐘")
    told = of_type(history(engine, ended), EventType.TASK_SUCCEEDED)
    answer = {"回答": "«¿Qué? 🦀» 👩‍🚀", "keys": ["frage", "ключ"]}
    assert [one["output"] for one in told] == [answer]
