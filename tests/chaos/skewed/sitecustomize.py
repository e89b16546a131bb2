"""A machine whose clock is wrong: in a Python started with this folder first on its path.

`CLOCK_AHEAD_S`: by how many seconds, negative for behind.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

_ahead_s = float(os.environ.get("CLOCK_AHEAD_S", "0"))
_right_time = time.time
_Right = datetime.datetime


class _Type(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _Right)


class _Wrong(_Right, metaclass=_Type):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _Right.fromtimestamp(_right_time() + _ahead_s, tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)


def _wrong_time() -> float:
    return _right_time() + _ahead_s


time.time = _wrong_time
datetime.datetime = _Wrong  # type: ignore[misc]  # everybody shall be told the wrong time
