"""The pump: a thread that moves a feed's bytes to where a library reads them by itself."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

from tasks.image.jpeg_feed import Part

_DRAIN_BYTES = 1024 * 1024


class Pump:
    """Runs until the parts end or fail, or the pump is closed. Nobody else reads their feed.

    Attributes:
        descriptor: Of the system, to read from; it ends where the parts end, or fail.
    """

    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self._sent = 0
        self._keeping = _Keeping()
        # Not a pipe: this one can be shut down while a library holds a copy of its descriptor.
        self._out, self._into = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="image-pump", daemon=True)
        self._thread.start()

    @property
    def descriptor(self) -> int:
        """See the class."""
        return self._out.fileno()

    def check(self) -> None:
        """Raises what the feed has raised, if it has."""
        if self._keeping.error is not None:
            raise self._keeping.error

    def close(self) -> None:
        """Ends it soon; what it has taken is lost. Does not wait: the feed may have to."""
        with suppress(OSError):  # closed already
            self._out.shutdown(socket.SHUT_RDWR)
        self._out.close()

    def join(self) -> None:
        """Waits until the feed can be read again. Raises what it has raised."""
        self._thread.join()
        self.check()

    def taken(self) -> int:
        """How many bytes the library has read, once it reads no more; drains all others."""
        left = 0
        room = bytearray(_DRAIN_BYTES)
        while size := self._out.recv_into(room):
            left += size
        self.join()
        return self._sent - left

    def _run(self) -> None:
        with self._into, self._keeping:
            for part in self._parts:
                try:
                    self._send(part)
                except ConnectionError:  # nobody reads any more
                    return

    def _send(self, part: Part) -> None:
        data = memoryview(part.data)
        self._sent += len(data)
        if not part.apart:
            self._into.sendall(data)
            return
        self._into.sendall(data[:-1])
        # No read goes past a byte that brings a descriptor along, see unix(7). The descriptor
        # itself is closed by the system when nobody asks for it.
        with open(os.devnull, "rb") as nothing:
            socket.send_fds(self._into, [data[-1:]], [nothing.fileno()])


class _Keeping:
    """Keeps what is raised in a thread, where nobody would notice.

    A class, because whoever feeds a stream may raise anything at all.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = self.error or error
        return True
