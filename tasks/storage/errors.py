"""Storage errors: the names under which flows see what a store answers."""

from __future__ import annotations

from tasks.errors import INVALID_ARGUMENT, SERVER_ERROR, THROTTLED, TaskError

NO_SUCH_BUCKET = "NoSuchBucket"
NO_SUCH_KEY = "NoSuchKey"
ACCESS_DENIED = "AccessDenied"
INVALID_OBJECT_STATE = "InvalidObjectState"
MISSING_CREDENTIALS = "MissingCredentials"
INVALID_SETTINGS = "InvalidSettings"
OBJECT_CHANGED = "ObjectChanged"

RETRYABLE = (THROTTLED, SERVER_ERROR)
"""Errors that go away by themselves: worth another try."""

_THROTTLE_WORDS = ("slowdown", "throttl", "toomany", "qpslimit", "ratelimit", "requestlimit")
_SAME_NAME = {NO_SUCH_BUCKET, NO_SUCH_KEY, INVALID_OBJECT_STATE}


def from_answer(status: int, code: str, message: str, what: str) -> TaskError:
    """The error for a store's answer.

    Args:
        status: HTTP status, 400 or more.
        code: The store's own error code; "" or the status where there was no body (HEAD).
        message: The store's own words.
        what: What was asked for, e.g. `restore of photos/a.jpg`.
    """
    text = f"{what}: {status} {code}: {message}" if message else f"{what}: {status} {code}"
    return TaskError(_name(status, code), " ".join(text.split()))


def _name(status: int, code: str) -> str:
    lowered = code.lower()
    if status in (429, 503) or any(word in lowered for word in _THROTTLE_WORDS):
        return THROTTLED
    if status >= 500 or status == 408:
        return SERVER_ERROR
    if code in _SAME_NAME:
        return code
    if status == 404:
        return NO_SUCH_KEY
    if status in (401, 403):
        return ACCESS_DENIED
    if status == 412:
        return OBJECT_CHANGED
    return INVALID_ARGUMENT


def invalid(cause: str) -> TaskError:
    """A FC.InvalidArgument error; its cause is made one line, as SDKs write several."""
    return TaskError(INVALID_ARGUMENT, " ".join(cause.split()))


def unreachable(endpoint: str, why: str) -> TaskError:
    """The store does not answer; retryable, since networks come back."""
    return TaskError(SERVER_ERROR, f"{endpoint} does not answer: {' '.join(why.split())}")
