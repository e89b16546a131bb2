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
        return base64.urlsafe_b64encode(self._sign(body) + body).decode().rstrip("=")

    def read(self, token: str) -> TaskTicket:
        """What a token says.

        Raises:
            InvalidArgument: it is not one of ours.
        """
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, TypeError):
            data = b""
        signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        if not body or not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidArgument("the task token is not one that this engine made")
        return TaskTicket(*json.loads(body))

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()
