"""Another broker than the Redis of the state: here it is a second database of that Redis."""

from __future__ import annotations

from pathlib import Path

from engine.config import without_password
from tests.acceptance.relayed import ENDS_WITHIN_S, OUTBOX, OUTPUT, QUEUE, Stack
from tests.acceptance.running import start
from tests.acceptance.servers import free_port
from tests.command import penstock
from tests.stores import without_ttl
from tests.waiting import wait_until


def _stack(redis_url: str) -> Stack:
    return Stack(redis_url, redis_url.removesuffix("/0") + "/1")


def test_an_execution_runs_with_its_messages_elsewhere(redis_url: str, tmp_path: Path) -> None:
    stack = _stack(redis_url)
    with stack.worker(2):
        run = stack.run_all(tmp_path / "place")
        ended = run.wait(ENDS_WITHIN_S)
        assert ended.output == OUTPUT, (ended.error, ended.cause)
    assert stack.redis.exists(OUTBOX, QUEUE) == 0
    assert without_ttl(stack.redis) == []


def test_what_is_sent_while_no_worker_runs_is_carried_by_the_next(redis_url: str) -> None:
    stack = _stack(redis_url)
    run = start(stack.engine, "early", "- {type: pass, name: only}\n")
    assert stack.outbox() == 1
    with stack.worker():
        assert run.wait(ENDS_WITHIN_S).status == "Succeeded"


def test_executions_go_on_after_a_change_of_the_broker(redis_url: str) -> None:
    """Also: what a client sends that lacks the setting comes through, later."""
    before = Stack(redis_url, None)
    run = start(before.engine, "moved", "- {type: pass, name: only}\n")
    assert before.redis.llen(QUEUE) == 1
    with _stack(redis_url).worker():
        assert run.wait(ENDS_WITHIN_S).status == "Succeeded"
    assert before.redis.llen(QUEUE) == 1  # nobody looks there any more


def test_the_doctor_looks_at_broker_and_outbox(redis_url: str, tmp_path: Path) -> None:
    stack = _stack(redis_url)
    start(stack.engine, "waits", "- {type: pass, name: only}\n")
    stack.redis.lpush(QUEUE, "of a process without the setting")
    env = stack.env | {"PENSTOCK_REDIS_URL": redis_url}
    told = penstock("doctor", cwd=tmp_path, env=env).stdout
    assert f"{without_password(stack.env['PENSTOCK_BROKER_URL'])}: 0 messages wait" in told
    assert "1 messages wait for a worker to take them to the broker" in told
    assert "1 messages are in Redis, where no worker looks" in told
    away = env | {"PENSTOCK_BROKER_URL": f"amqp://user:secret@127.0.0.1:{free_port()}//"}
    answer = penstock("doctor", cwd=tmp_path, env=away)
    assert answer.returncode == 1 and "secret" not in answer.stdout
    assert "cannot be used" in answer.stdout


def test_a_worker_that_is_told_to_end_stops_carrying_in_time(redis_url: str) -> None:
    stack = _stack(redis_url)
    with stack.worker() as worker:
        worker.stop()
        assert not worker.lives
        assert "Traceback" not in worker.log, worker.log
    start(stack.engine, "late", "- {type: pass, name: only}\n")
    wait_until(lambda: stack.outbox() == 1)
