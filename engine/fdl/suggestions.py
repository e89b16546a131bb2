"""Did-you-mean: the known word that a wrong one was most likely meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SIMILARITY = 0.6
MAX_WORD_LENGTH = 200


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, letter case aside; None when none is near."""
    if len(word) > MAX_WORD_LENGTH:
        return None
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=SIMILARITY)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of a message: `; did you mean 'x'?`, or nothing."""
    match = closest(word, known)
    return f"; did you mean '{match}'?" if match else ""
