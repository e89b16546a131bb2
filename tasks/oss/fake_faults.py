"""Faults on demand: which requests to the OSS server for tests are throttled or fail."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field

_SPARE = 0.5


class Fault(Enum):
    """What befalls a request; the value is its HTTP status and error code."""

    SLOW_DOWN = (503, "SlowDown")
    TOO_MANY = (429, "TooManyRequests")
    BEFORE = (500, "InternalError")
    """Fails and has done nothing."""
    AFTER = (502, "BadGateway")
    """Is carried out, and its answer is lost."""
    CUT = (200, "Cut")
    """The connection breaks in the middle of the answer's body."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> str:
        """OSS's error code."""
        return self.value[1]


class FaultRates(BaseModel):
    """How often: shares of the requests from 0 to 1. A seed repeats the same sequence.

    `operations` limits the faults to some: list, restore, head, get, put; empty means to all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    throttle_rate: float = Field(default=0.0, ge=0, le=1)
    error_rate: float = Field(default=0.0, ge=0, le=1)
    seed: int | None = None
    cut_rate: float = Field(default=0.0, ge=0, le=1)
    operations: frozenset[str] = frozenset()


@dataclass(slots=True)
class Faults:
    """The dice of one server. Safe to use from several threads."""

    rates: FaultRates = FaultRates()
    thrown: int = 0
    _random: random.Random = field(init=False)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.rates.seed)

    def change(self, rates: FaultRates) -> None:
        """From now on these; the count of faults goes on."""
        with self._lock:
            self.rates = rates
            self._random = random.Random(rates.seed)

    def draw(self, operation: str) -> Fault | None:
        """What befalls the next request of that operation, None if nothing does."""
        with self._lock:
            if self.rates.operations and operation not in self.rates.operations:
                return None
            fault = self._roll()
            self.thrown += fault is not None
            return fault

    def _roll(self) -> Fault | None:
        number, first = self._random.random(), self._random.random() < _SPARE
        if number < self.rates.throttle_rate:
            return Fault.SLOW_DOWN if first else Fault.TOO_MANY
        if number < self.rates.throttle_rate + self.rates.error_rate:
            return Fault.BEFORE if first else Fault.AFTER
        if number < self.rates.throttle_rate + self.rates.error_rate + self.rates.cut_rate:
            return Fault.CUT
        return None
