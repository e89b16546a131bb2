"""`python -m tests.bench`: measures, prints a line for each, exits 1 if a gate is missed."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial

from tests.bench.api import measure_api
from tests.bench.edges import measure_edges
from tests.bench.fanout import measure_fanout, measure_many, measure_sizes
from tests.bench.figures import Figure
from tests.bench.hops import measure_hops
from tests.bench.images import measure_images
from tests.bench.loops import EDGE_TURNS, measure_loop
from tests.bench.stage import Stage
from tests.bench.starts import measure_starts

Measure = Callable[[Stage], list[Figure]]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    measures: dict[str, Measure] = {
        "hops": partial(measure_hops, rounds=options.rounds),
        "foreach": partial(measure_fanout, rounds=options.rounds),
        "loop": partial(measure_loop, turns=max(2 * EDGE_TURNS, options.turns)),
        "many": measure_many,
        "sizes": measure_sizes,
        "starts": measure_starts,
        "edges": lambda _: measure_edges(),
        "images": lambda _: measure_images(options.rounds),
        "api": lambda _: measure_api(),
    }
    missed = 0
    # Being told to end must not leave the workers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Stage() as stage:
        for name in options.only or measures:
            for figure in measures[name](stage):
                print(figure, flush=True)
                missed += not figure.ok
    return 1 if missed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = ["hops", "foreach", "loop", "many", "sizes", "starts", "edges", "images", "api"]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="MEASURE", help=f"of {', '.join(names)}: all")
    parser.add_argument("--rounds", type=int, default=5, help="at most, of ours and theirs (5)")
    parser.add_argument("--turns", type=int, default=10_000, help="of the loop (10,000)")
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(names):
        parser.error(f"no measure is called {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
