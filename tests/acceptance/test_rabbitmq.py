"""RabbitMQ as the broker: the same executions, with messages that a relay has carried there."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.runtime.broker import Broker
from engine.runtime.canvas import make_app
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.outbox import Outbox, parcel_of
from engine.runtime.probe import WireMismatch, check_relayed_wire
from tests.acceptance.rabbit import RabbitServer, find_rabbitmq
from tests.acceptance.relayed import ENDS_WITHIN_S, ONE, OUTBOX, OUTPUT, QUEUE, Stack, story
from tests.acceptance.running import HEAD, history, of_type, start
from tests.fundamentals.mailbox import Mailbox
from tests.processes import WorkerProcess
from tests.stores import without_ttl
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(
    find_rabbitmq() is None, reason="there is no rabbitmq-server on this machine to start"
)

NAPS = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: seconds}
  steps:
  - {type: task, name: one, resourceArn: nap}
  outputMappings: [{target: done, source: "$local[*].slept"}]
"""


ELSEWHERE = Path(__file__).with_name("elsewhere_tasks.py")
SENDS = """
- type: task
  name: one
  resourceArn: acs:mns:::/queues/orders/messages
  serviceParams: {MessageBody: "to one"}
- type: task
  name: all
  resourceArn: acs:mns:::/topics/news/messages
  serviceParams: {MessageBody: "to all"}
"""


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitServer]:
    # It loses patience with a message that is not acknowledged after 2 s, instead of 30 min.
    arguments = "-rabbit consumer_timeout 2000 -rabbit channel_tick_interval 1000"
    with RabbitServer(arguments) as server:
        yield server


@pytest.fixture
def stack(rabbit: RabbitServer) -> Iterator[Stack]:
    """A fresh state; what an earlier test left in the queue is taken out."""
    with EmbeddedRedis() as redis:
        broker = Broker(make_app(redis.url, QUEUE, broker_url=rabbit.url))
        broker.declare(QUEUE)
        broker.close()
        rabbit.purge(QUEUE)
        yield Stack(redis.url, rabbit.url)


def test_an_execution_over_rabbitmq_is_what_it_is_over_redis(stack: Stack, tmp_path: Path) -> None:
    stories = []
    with EmbeddedRedis() as alone, ExitStack() as workers:
        for number, each in enumerate((stack, Stack(alone.url, None))):
            for worker in (each.worker(2), each.worker(1))[: 2 - number]:
                workers.enter_context(worker)
            run = each.run_all(tmp_path / str(number))
            ended = run.wait(ENDS_WITHIN_S)
            assert ended.status == "Succeeded", (ended.error, ended.cause)
            assert ended.output == OUTPUT
            stories.append(story(each, run))
            assert each.redis.exists(OUTBOX, QUEUE) == 0
        assert without_ttl(stack.redis) == []
    assert stories[0] == stories[1]


def test_a_rabbitmq_that_is_killed_and_comes_back_loses_nothing(
    stack: Stack, rabbit: RabbitServer
) -> None:
    with stack.worker() as one, stack.worker() as two:
        run = start(stack.engine, "restart", NAPS, {"items": [0.1] * 60})
        wait_until(lambda: len(history(stack.engine, run)) > 60)
        rabbit.kill()
        rabbit.start()
        ended = run.wait(ENDS_WITHIN_S)
        assert ended.output == {"done": [0.1] * 60}, ended.cause
        assert one.lives and two.lives
        counted = of_type(history(stack.engine, ended), EventType.ITERATION_EXITED)
        assert sorted(event["index"] for event in counted) == list(range(60))
        assert wait_until(lambda: stack.outbox() == 0)


def test_messages_that_a_killed_relay_had_in_its_hand_are_sent_again(stack: Stack) -> None:
    stack.engine.create_flow("one", HEAD + ONE)
    runs = [stack.engine.start_execution("one", {"value": n}) for n in range(500)]
    assert stack.outbox() == 500
    with stack.worker() as victim:
        wait_until(lambda: stack.outbox() < 500, every_s=0.0005)
        os.killpg(victim.pid, signal.SIGKILL)
    # Some may be in nobody's hand now: as if the kill had come in the very middle of a batch.
    stack.redis.rpop(OUTBOX, 50)
    with stack.worker(2) as other:
        for n, run in enumerate(runs):
            ended = run.wait(ENDS_WITHIN_S)
            assert ended.output == {"value": 2 * n}, ended.cause
        assert other.lives
    assert stack.outbox() == 0


def test_a_task_longer_than_rabbitmq_is_patient_runs_once(stack: Stack) -> None:
    with stack.worker() as worker:
        run = start(stack.engine, "long", NAPS, {"items": [4.0]})
        ended = run.wait(ENDS_WITHIN_S)
        assert ended.output == {"done": [4.0]}, ended.cause
        assert worker.lives
        assert "delivery acknowledgement on channel 1 timed out" in worker.log
        after = start(stack.engine, "after", ONE, {"value": 2}).wait(ENDS_WITHIN_S)
        assert after.output == {"value": 4}, after.cause
    assert len(of_type(history(stack.engine, ended), EventType.TASK_STARTED)) == 1


def test_what_a_flow_sends_to_queues_and_topics_is_kept_there(
    stack: Stack, rabbit: RabbitServer
) -> None:
    with stack.worker(), Mailbox(rabbit.url, "topic", "news") as subscriber:
        ended = start(stack.engine, "sends", SENDS).wait(ENDS_WITHIN_S)
        assert ended.status == "Succeeded", (ended.error, ended.cause)
        assert subscriber.take() == "to all"
    with Mailbox(rabbit.url, "queue", "orders") as reader:  # nobody had declared it
        assert reader.take() == "to one"


def test_a_message_goes_on_to_the_worker_that_has_its_task(stack: Stack) -> None:
    steps = ONE + "- {type: task, name: there, resourceArn: elsewhere}\n"
    other = WorkerProcess(stack.redis_url, [ELSEWHERE], ["-c", "1"], stack.env)
    with stack.worker(), other:
        run = start(stack.engine, "two_kinds", steps, {"value": 1})
        assert run.wait(ENDS_WITHIN_S).status == "Succeeded"
        started = of_type(history(stack.engine, run), EventType.TASK_STARTED)
    assert len({event["worker"] for event in started}) == 2


def test_a_worker_that_rabbitmq_refuses_says_why_and_ends(stack: Stack) -> None:
    wrong = stack.env["PENSTOCK_BROKER_URL"].replace("penstock:", "nobody:")
    refused = Stack(stack.redis_url, wrong).worker()
    with pytest.raises(AssertionError, match="the worker ended") as ended:
        refused.start()
    assert "cannot use the broker at amqp://nobody:***@127.0.0.1" in str(ended.value)
    assert "Traceback" not in refused.log


def test_messages_that_come_twice_change_nothing(stack: Stack) -> None:
    naps = [0.01] * 30
    row = "".join(ONE.replace("name: one", f"name: n{number}") for number in range(20))
    steps = row + NAPS.replace("$.items", "$.naps")
    with Twice(stack), stack.worker():
        run = start(stack.engine, "twice", steps, {"value": 3, "naps": naps})
        ended = run.wait(ENDS_WITHIN_S)
    assert ended.output == {"value": 3 * 2**20, "done": naps}, ended.cause
    events = history(stack.engine, ended)
    assert len(of_type(events, EventType.ITERATION_EXITED)) == len(naps)
    assert len(of_type(events, EventType.TASK_SUCCEEDED)) == 20 + len(naps)
    refused = stack.engine.runtime.store.record(f"twice:{run.name}")["duplicates"]
    assert int(refused) >= 10


class Twice:
    """Relays that publish everything twice: more of them than workers, to get the most of it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._carry) for _ in range(4)]

    def __enter__(self) -> Twice:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _carry(self) -> None:
        outbox = Outbox(self._stack.redis, OUTBOX)
        broker = Broker(self._stack.engine.runtime.canvas.app)
        while not self._over.is_set():
            parcels = [parcel_of(text) for text in outbox.take(0.2)]
            broker.publish(parcels * 2)
        broker.close()


def test_the_form_of_messages_at_rabbitmq_is_that_of_the_installed_celery(
    rabbit: RabbitServer, redis_url: str
) -> None:
    app = make_app(redis_url, QUEUE, broker_url=rabbit.url)
    check_relayed_wire(app, Broker(app))
    another = make_app(redis_url, QUEUE, broker_url=rabbit.url)
    another.conf.task_protocol = 1
    with pytest.raises(WireMismatch, match=r"message\.headers\.root_id is ours alone"):
        check_relayed_wire(another, Broker(another))
