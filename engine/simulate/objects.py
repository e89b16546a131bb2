"""Objects: what the streams of a simulation read from and write to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol


class Objects(Protocol):
    """Where the sources of streams are read and their sinks written.

    Whatever it raises is the failure of the stream, by its `code` and `cause` if it has them:
    where an end is opened that of the step, after that of the stage at that end.
    """

    def source(self, uri: str) -> Iterable[bytes]:
        """The bytes of an object, in the chunks in which the first stage gets them."""
        ...

    def sink(self, uri: str) -> Callable[[Iterable[bytes]], None]:
        """What writes an object, as a whole or not at all."""
        ...
