"""Differences of two texts: what is shown of them, and how long they may be."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.console.differences import MOST_LINES, MOST_ROWS, differences
from engine.api.console.lines import equal_lines

QUICK_S = 1.0
LINES = st.lists(st.sampled_from("abcdefgh"), max_size=20)
UNLIKE = [f"line {number}" for number in range(MOST_LINES)]
DRAWN = random.Random(7).choices("abc", k=2 * MOST_LINES)
LARGE = {
    "one line": (UNLIKE, [*UNLIKE[:9000], "x", *UNLIKE[9001:]]),
    "every other line": (UNLIKE, [line[number % 2 :] for number, line in enumerate(UNLIKE)]),
    "all lines": (UNLIKE, [f"{line}!" for line in UNLIKE]),
    "their order": (UNLIKE, UNLIKE[::-1]),
    "like lines": (["x"] * MOST_LINES, ["y", "x"] * (MOST_LINES // 2)),
    "three kinds of lines": (DRAWN[:MOST_LINES], DRAWN[MOST_LINES:]),
}


def _shown(old: str, new: str) -> list[tuple[str, str]]:
    return [(row["kind"], row["text"]) for row in differences(old, new)]


@given(LINES, LINES)
def test_equal_lines_are_equal_and_in_order(before: list[str], after: list[str]) -> None:
    pairs = equal_lines(before, after)
    assert all(before[a] == after[c] for a, c in pairs)
    assert all(a < b and c < d for (a, c), (b, d) in pairwise(pairs))


@given(LINES)
def test_a_text_is_wholly_in_what_it_became(lines: list[str]) -> None:
    grown = [each for line in lines for each in (line, "new")]
    assert equal_lines(lines, grown) == [(at, 2 * at) for at in range(len(lines))]


@given(LINES.filter(bool), LINES.filter(bool))
def test_the_rows_lead_from_one_text_to_the_other(before: list[str], after: list[str]) -> None:
    rows = differences("\n".join([*before, "end"]), "\n".join([*after, "end"]))
    texts = [("old", ("removed", "same"), before), ("new", ("added", "same"), after)]
    for side, kinds, text in texts:
        numbered = [(row[side], row["text"]) for row in rows if row["kind"] in kinds]
        assert all(([*text, "end"])[number - 1] == line for number, line in numbered)
    gone = {row["old"] - 1 for row in rows if row["kind"] == "removed"}
    came = {row["new"] - 1 for row in rows if row["kind"] == "added"}
    kept = [line for at, line in enumerate(before) if at not in gone]
    assert kept == [line for at, line in enumerate(after) if at not in came]


def test_what_is_far_from_a_change_is_a_gap() -> None:
    old = [str(number) for number in range(20)]
    new = [*old[:10], "x", *old[11:]]
    around = [("same", each) for each in old[7:14]]
    around[3:4] = [("removed", "10"), ("added", "x")]
    assert _shown("\n".join(old), "\n".join(new)) == [("gap", ""), *around]
    assert _shown("\n".join(old), "\n".join(old)) == []


@pytest.mark.parametrize("which", LARGE)
def test_the_largest_texts_are_compared_within_a_second(which: str) -> None:
    old, new = ("\n".join(lines) for lines in LARGE[which])
    times: list[float] = []
    for _ in range(3):
        since = time.thread_time()
        rows = differences(old, new)
        times.append(time.thread_time() - since)
    # The best of them: garbage of all other tests is collected now and then.
    assert min(times) < QUICK_S
    assert 0 < len(rows) <= MOST_ROWS + 1


def test_a_change_is_found_in_the_largest_text_of_like_lines() -> None:
    lines = DRAWN[:MOST_LINES]
    rows = _shown("\n".join(lines), "\n".join([*lines[:-9], "x", "y", *lines[-8:]]))
    changed = [row for row in rows if row[0] not in ("same", "gap")]
    assert changed == [("removed", lines[-9]), ("added", "x"), ("added", "y")]


def test_larger_texts_are_said_to_be_too_large() -> None:
    text = "x\n" * (MOST_LINES + 1)
    [(kind, told)] = _shown(text, f"y\n{text}")
    assert kind == "gap" and f"the limit is {MOST_LINES}" in told
    assert _shown(text, text) == []


def test_more_rows_than_are_shown_are_told() -> None:
    rows = _shown("x\n" * MOST_ROWS, "y\n" * MOST_ROWS)
    assert rows[:-1] == [("removed", "x")] * MOST_ROWS
    assert rows[-1][0] == "gap" and str(MOST_ROWS) in rows[-1][1]
