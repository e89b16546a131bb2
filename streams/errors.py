"""The errors of streams, one tree.

StreamError
├── StreamFailed       the writer's side has failed and said so
├── StreamCancelled    the stream was cancelled here, or its keys are gone
├── StreamFenced       somebody with a newer epoch has taken over
├── StreamCorrupt      a sequence, count, crc or SHA-256 does not fit
├── StreamIdle         nothing moved for too long
├── StreamLost         what was kept outside of Redis is not on this host
├── StreamUnavailable  Redis has not answered for too long
└── ChunkTooLarge      a chunk is larger than Redis takes
"""

from __future__ import annotations


class StreamError(Exception):
    """Any failure of a stream."""


class StreamFailed(StreamError):
    """The writer's side has ended its stream with an error.

    Attributes:
        error: the code of the error, as the writer's side gave it.
        cause: its text.
    """

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.error}: {self.cause}"


class StreamCancelled(StreamError):
    """The stream was cancelled: here, by its `Stop`, or elsewhere, so that its keys are gone."""


class StreamFenced(StreamError):
    """Another end with a newer epoch has taken this one's place: do nothing more."""


class StreamCorrupt(StreamError):
    """What was read is not what was written, or a replay has written something else."""


class StreamIdle(StreamError):
    """No chunk was written, read or committed for the time that the edge allows."""


class StreamLost(StreamError):
    """Input that was kept outside of Redis (a spool, shared memory) is not on this host."""


class StreamUnavailable(StreamError):
    """Redis has not answered for as long as the edge is patient."""


class ChunkTooLarge(StreamError):
    """A chunk is larger than a value that Redis takes (`proto-max-bulk-len`): cut it."""
