"""The code blocks of a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+\.(?:yml|py))\n")
_FLAG = re.compile(r"(?<!\S)(--?[A-Za-z][\w-]*)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `file` is the name that its first line gives it ("" for none)."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """`hello.yml` for a block that begins with `# hello.yml`."""
        named = _NAMED.match(self.text)
        return named[1] if named else ""


def blocks_of(path: Path) -> list[Block]:
    """All fenced blocks of a file, in order."""
    text = path.read_text()
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def commands_of(block: Block, program: str) -> Iterator[tuple[list[str], list[str]]]:
    """Of each command line of `program`: its words before the first option, and its options."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = re.sub(r"'[^']*'", "_", line.partition(" #")[0]).split()
        if words[:1] == [program]:
            options = [word for word in words if _FLAG.fullmatch(word)]
            first = next((i for i, word in enumerate(words) if word in options), len(words))
            yield words[1:first], options
