"""A tally: what this API process has answered, for its metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of answering times."""


@dataclass
class Tally:
    """Counters with bounded labels. `answers`: by the status's class (`2xx`)."""

    answers: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    seconds: float = 0.0
    streams: int = 0
    stream_bytes_in: int = 0
    stream_bytes_out: int = 0

    def answered(self, status: int, took_s: float) -> None:
        """Counts an answer, by when its head was sent."""
        self.answers[f"{status // 100}xx"] += 1
        self.seconds += took_s
        for place, bound in enumerate(BOUNDS_S):
            if took_s <= bound:
                self.times[place] += 1
                return
        self.times[-1] += 1
