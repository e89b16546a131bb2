"""Callback tokens: unguessable, signed names of a task's attempt that waits for a report."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from engine.core.frame import Frame, visit_key
from engine.errors import InvalidArgument

SIGNATURE_BYTES = 32

_LINK = b"link:"
_DERIVED = b"derived:"


@dataclass(frozen=True, slots=True)
class TaskTicket:
    """What a token says: the attempt of a step's visit in an execution."""

    flow: str
    execution: str
    frame: str
    visit: str
    attempt: int


class Tokens:
    """Makes and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def make(self, flow: str, execution: str, frame: Frame) -> str:
        """The token of the attempt that the frame's step is at; the same whenever it is made."""
        attempt = frame.step.attempt if frame.step else 0
        fields = [flow, execution, frame.id, visit_key(frame), attempt]
        body = json.dumps(fields, separators=(",", ":")).encode()
        return _text(self._sign(body) + body)

    def read(self, token: str) -> TaskTicket:
        """What a token says.

        Raises:
            InvalidArgument: it is not one of ours.
        """
        body = self._checked(token, b"")
        if body is None:
            raise InvalidArgument("the task token is not one that this engine made")
        return TaskTicket(*json.loads(body))

    def derive(self, purpose: str) -> str:
        """A text that only who has the secret can tell; another purpose gives another one."""
        return _text(self._sign(_DERIVED + purpose.encode()))

    def seal(self, token: str, until_s: float) -> str:
        """A text that stands for a token until a time, in seconds since the epoch.

        It is signed for this use alone: as a token it is refused.
        """
        body = json.dumps([token, until_s], separators=(",", ":")).encode()
        return _text(self._sign(_LINK + body) + body)

    def unseal(self, link: str, now_s: float) -> str:
        """The token that `seal` was given.

        Raises:
            InvalidArgument: it was not made by `seal`, or its time is over.
        """
        body = self._checked(link, _LINK)
        if body is None:
            raise InvalidArgument("the link is not one that this engine made")
        token, until_s = json.loads(body)
        if now_s > until_s:
            raise InvalidArgument("the link's time is over; ask for a new one")
        return str(token)

    def _checked(self, text: str, use: bytes) -> bytes | None:
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (ValueError, TypeError):
            return None
        signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        right = body and hmac.compare_digest(signature, self._sign(use + body))
        return body if right else None

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
