"""The files at the ends of a stream that a command runs, and the bar that shows them move."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from rich.console import RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from engine.errors import EngineError, ExecutionFailed, InvalidArgument, StoreUnavailable
from engine.runtime.streamed import StreamedExecution


class SourceFile:
    """The file that is sent, and how far it is. A context manager.

    Raises:
        InvalidArgument: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("rb")
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise InvalidArgument(f"--source {path}: {error.strerror}") from None
        self.sent = 0

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        part = self._file.read(size)
        self.sent += len(part)
        return part

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


class SinkFile:
    """Writes what an execution streams into a file, in a thread; None: only counts it. A context
    manager.

    The file appears when all of it is there, in one piece, in the place of an older one; what broke
    off never does.

    Raises:
        InvalidArgument: it cannot be written.
    """

    def __init__(self, streamed: StreamedExecution, path: Path | None, source: SourceFile | None):
        self._streamed = streamed
        self._path = path
        self._source = source
        self._begun = time.monotonic()
        self._error: OSError | None = None
        self._broken: ExecutionFailed | None = None
        self._is_whole = False
        self.chunks = self.bytes = 0
        self.first_byte_s: float | None = None
        self._part = _beside(path) if path is not None else None
        self._thread = threading.Thread(target=self._run, name="penstock-sink", daemon=True)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TextColumn("{task.fields[chunks]}"), auto_refresh=False,
        )  # fmt: skip
        size = source.size if source is not None else None
        self._in = self._bars.add_task("in", total=size, chunks="", visible=source is not None)
        self._out = self._bars.add_task("out", total=None, chunks="")
        self._thread.start()

    def __enter__(self) -> SinkFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._part is not None:  # it has its name by now, or is not wanted
            self._part.unlink(missing_ok=True)

    def bars(self) -> RenderableType:
        """How far both ends are."""
        if self._source is not None:
            self._bars.update(self._in, completed=self._source.sent)
        chunks = f"{self.chunks} chunks"
        self._bars.update(self._out, completed=self.bytes, chunks=chunks)
        return self._bars.get_renderable()

    def finish(self) -> ExecutionFailed | None:
        """Waits for the last byte; keeps the file if it is whole, else says why not. Blocking.

        Raises:
            InvalidArgument: the file could not be written.
        """
        self._thread.join()
        if self._part is None or self._path is None:
            return None
        if self._is_whole:
            self._part.replace(self._path)
            return None
        if self._error is not None:
            raise InvalidArgument(f"--sink {self._path}: {self._error.strerror}")
        return self._broken

    def summary(self) -> str:
        """What went through, in a line."""
        first = "" if self.first_byte_s is None else f", the first after {self.first_byte_s:.3f} s"
        sent = "" if self._source is None else f"{self._source.sent:,} bytes in, "
        return f"{sent}{self.bytes:,} bytes out in {self.chunks} chunks{first}"

    def _run(self) -> None:
        try:
            self._write()
            self._is_whole = True
        except ExecutionFailed as broken:
            self._broken = broken
        except EngineError as error:
            self._broken = ExecutionFailed(type(error).__name__, str(error))
        except OSError as error:
            self._error = error
            with suppress(StoreUnavailable):  # it is then stopped because its caller is gone
                self._streamed.close()

    def _write(self) -> None:
        file = self._part.open("wb") if self._part is not None else None
        try:
            for chunk in self._streamed:
                if self.first_byte_s is None:
                    self.first_byte_s = time.monotonic() - self._begun
                if file is not None:
                    file.write(chunk)
                self.chunks += 1
                self.bytes += len(chunk)
        finally:
            if file is not None:
                file.close()


def sink_path(path: Path) -> Path:
    """Where a sink is written: behind a link, what that leads to.

    Raises:
        InvalidArgument: something is there that no file may take the place of.
    """
    resolved = path.resolve()
    if resolved.exists() and not resolved.is_file():
        what = "a folder" if resolved.is_dir() else "no ordinary file"
        raise InvalidArgument(f"--sink {path}: it is {what}; name a file")
    return resolved


def _beside(path: Path) -> Path:
    """A file in the folder of `path`, so that it can take its place at once."""
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InvalidArgument(f"--sink {path}: {error.strerror}") from None
    os.fchmod(number, 0o666 & ~_umask())
    os.close(number)
    return Path(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
