"""The faults: what may happen to a fleet at any moment, by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from tests.chaos.fleet import Fleet

Fault = Callable[[Fleet, Random], None]

STANDS_STILL_S = 0.7
SLOW_S = 0.05
SLOW_FOR_S = 1.5
AWAY_S = 0.6


def pool_process(fleet: Fleet, random: Random) -> None:
    """A process of a pool is killed, in the middle of whatever it does."""
    children = fleet.children(fleet.any(random))
    if children:
        os.kill(random.choice(children), signal.SIGKILL)


def worker(fleet: Fleet, random: Random) -> None:
    """A worker is killed with all its processes, and another one comes."""
    victim = fleet.any(random)
    fleet.kill(victim)
    fleet.replace(victim)


def all_workers(fleet: Fleet, random: Random) -> None:
    """All workers are killed at once, and others come."""
    victims = list(fleet.workers)
    for victim in victims:
        fleet.kill(victim)
    for victim in victims:
        fleet.replace(victim)


def stopped_worker(fleet: Fleet, random: Random) -> None:
    """A worker stands still while messages come, and is killed without having gone on."""
    victim = fleet.any(random)
    os.killpg(victim.pid, signal.SIGSTOP)
    time.sleep(STANDS_STILL_S)
    fleet.kill(victim)
    fleet.replace(victim)


def sleeping_worker(fleet: Fleet, random: Random) -> None:
    """A worker stands still until its leases are over, and goes on as if nothing was."""
    victim = fleet.any(random)
    os.killpg(victim.pid, signal.SIGSTOP)
    time.sleep(3 * STANDS_STILL_S)
    os.killpg(victim.pid, signal.SIGCONT)


def redis(fleet: Fleet, random: Random) -> None:
    """Redis is killed and comes back on its append-only file."""
    fleet.restart_redis()


def network(fleet: Fleet, random: Random) -> None:
    """All connections break at once."""
    fleet.proxy.cut()


def network_away(fleet: Fleet, random: Random) -> None:
    """All connections break, and for a moment there are no new ones."""
    fleet.proxy.refuses = True
    fleet.proxy.cut()
    time.sleep(AWAY_S)
    fleet.proxy.refuses = False


def slow_network(fleet: Fleet, random: Random) -> None:
    """Every piece of every message takes its time."""
    fleet.proxy.delay_s = SLOW_S
    time.sleep(SLOW_FOR_S)
    fleet.proxy.delay_s = 0.0


def copies(fleet: Fleet, random: Random) -> None:
    """Every message that waits in the queue comes twice, and in another order."""
    with fleet.client() as client:
        key = fleet.engine.runtime.store.keys.queue
        waiting: list[Any] = list(client.lrange(key, 0, 199))
        random.shuffle(waiting)
        if waiting:
            client.lpush(key, *waiting)


def lost_messages(fleet: Fleet, random: Random) -> None:
    """Some messages are taken from the queue and never seen again."""
    with fleet.client() as client:
        for _ in range(random.randint(1, 4)):
            client.rpop(fleet.engine.runtime.store.keys.queue)


FAULTS: Mapping[str, tuple[int, Fault]] = {
    "pool process killed": (5, pool_process),
    "worker killed": (3, worker),
    "all workers killed": (1, all_workers),
    "worker stopped, killed": (1, stopped_worker),
    "worker stopped, goes on": (2, sleeping_worker),
    "Redis killed": (2, redis),
    "connections cut": (3, network),
    "network away": (2, network_away),
    "network slow": (1, slow_network),
    "messages doubled": (4, copies),
    "messages lost": (4, lost_messages),
}
"""Each fault by its name, with how often it is drawn among the others."""


def drawn(random: Random) -> Iterator[str]:
    """Names of faults without an end: each kind once, in any order, then as often as it weighs."""
    yield from random.sample(list(FAULTS), len(FAULTS))
    weights = [weight for weight, _ in FAULTS.values()]
    while True:
        yield random.choices(list(FAULTS), weights)[0]


def strike(name: str, fleet: Fleet, random: Random) -> None:
    """Lets a fault happen."""
    try:
        FAULTS[name][1](fleet, random)
    except RedisConnectionError:
        return  # the fault's own client met another fault
