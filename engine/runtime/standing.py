"""A standing: where a frame is put, and the message that finds it there."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from engine.runtime.pointer import Pointer


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a frame stands after a transition, as the scripts take it (`to`).

    st: READY (its message goes out now, to be claimed after `delay_s`), or WAITING (until it is
    woken; `on`: by the end of that child execution; by a timer if `delay_s` or `until_s`, seconds
    since the epoch, is given). `goes_on`: as the attempt that it was, which was not begun.
    """

    st: str
    pointer: Pointer
    envelope: str = ""
    queue: str = ""
    delay_s: float | None = None
    until_s: float | None = None
    timeout_s: float | None = None
    keeps_timeout: bool = False
    goes_on: bool = False
    on: str | None = None

    def order(self) -> dict[str, Any]:
        """The script's form of it."""
        to: dict[str, Any] = {"st": self.st, "fence": self.pointer.fence, "kind": self.pointer.kind}
        if self.envelope:
            to["envelope"] = self.envelope
        if self.delay_s:
            to["delay_ms"] = round(self.delay_s * 1000)
        if self.until_s is not None:
            to["until_ms"] = round(self.until_s * 1000)
        if self.timeout_s is not None:
            to["timeout_ms"] = round(self.timeout_s * 1000)
        if self.on:
            to["on"] = self.on
        if self.keeps_timeout:
            to["keeps_timeout"] = True
        if self.goes_on:
            to["goes_on"] = True
        return to


def new_id() -> str:
    """A fresh name for a call, a fence or a message: unguessable and unique."""
    return secrets.token_hex(16)


def fresh(pointer: Pointer, **changes: Any) -> Pointer:
    """The pointer with a fresh fence."""
    return replace(pointer, fence=new_id()[:16], **changes)
