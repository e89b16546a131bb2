"""Flows as they are published: in an article's text, or in files of the same form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"
"""Articles may lie here, beside the checkout; they are not ours to copy."""
OWN = Path(__file__).with_name("flows")

FIRST_LINE = "version: v1"
RESTORE_TASK = "!Ref OSSRestoreService/restoreFunction"


@dataclass(frozen=True, slots=True)
class PublishedFlows:
    """The two texts of a restore: the flow over all pages, and the one for a page."""

    main: str
    page: str


def published_flows() -> dict[str, PublishedFlows]:
    """Every such pair by the name of where it is from; `own` is always there."""
    found = {"own": PublishedFlows(*(_own(name) for name in ("bucket_restore", "page_restore")))}
    texts = (path.read_text(errors="replace") for path in sorted(SHARED.glob("*/*.txt")))
    articles = [text for text in texts if RESTORE_TASK in text]
    for number, article in enumerate(articles, start=1):
        found[f"article{number}"] = PublishedFlows(*_blocks(article))
    return found


def _own(name: str) -> str:
    return (OWN / f"{name}.yml").read_text()


def _blocks(article: str) -> list[str]:
    """The flows in an article, which prints them with spaces that do not break."""
    lines = article.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    starts = [number for number, line in enumerate(lines) if line.strip() == FIRST_LINE]
    return [_block(lines[start:]) for start in starts]


def _block(lines: list[str]) -> str:
    """The lines up to the article's next sentence, which is not in ASCII."""
    stop = next(number for number, line in enumerate(lines) if not line[:1].isascii())
    return "\n".join(lines[:stop]) + "\n"
