"""Signing: requests of the service's own protocol are signed by HMAC-SHA1."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

from engine.errors import (
    AccessDenied,
    InvalidArgument,
    RequestTimeTooSkewed,
    SignatureNotMatch,
)

SIGNATURE = "Signature"
METHOD = "HMAC-SHA1"
VERSION = "1.0"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
MOST_NONCE_CHARACTERS = 256

_NEEDED = ("AccessKeyId", SIGNATURE, "SignatureNonce", "Timestamp")


def signature(secret: str, method: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The signature of a request with these query and form parameters."""
    pairs = sorted((name, value) for name, value in parameters if name != SIGNATURE)
    canonical = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)
    text = f"{method}&%2F&{_encoded(canonical)}"
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def check_form(parameters: dict[str, str], now_s: float, skew_s: float) -> None:
    """Refuses what is not signed at all, in another way, or at another time.

    Raises:
        AccessDenied; InvalidArgument; RequestTimeTooSkewed.
    """
    missing = [name for name in _NEEDED if not parameters.get(name)]
    if missing:
        raise AccessDenied(f"the request is not signed: it has no {', '.join(missing)}")
    if parameters.get("SignatureMethod", METHOD) != METHOD:
        raise InvalidArgument(f"SignatureMethod: only {METHOD} is known")
    if parameters.get("SignatureVersion", VERSION) != VERSION:
        raise InvalidArgument(f"SignatureVersion: only {VERSION} is known")
    if len(parameters["SignatureNonce"]) > MOST_NONCE_CHARACTERS:
        raise InvalidArgument(f"SignatureNonce: at most {MOST_NONCE_CHARACTERS} characters")
    if abs(_seconds(parameters["Timestamp"]) - now_s) > skew_s:
        raise RequestTimeTooSkewed(
            f"the request was signed at {parameters['Timestamp']}: more than {skew_s:g} s from now"
        )


def check_signature(
    secret: str, method: str, parameters: Iterable[tuple[str, str]], given: str
) -> None:
    """Raises SignatureNotMatch."""
    right = signature(secret, method, parameters)
    if not hmac.compare_digest(right.encode(), given.encode()):
        raise SignatureNotMatch("the signature is not that of this request and this key's secret")


def _seconds(timestamp: str) -> float:
    try:
        return datetime.strptime(timestamp, TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise InvalidArgument("Timestamp: write it as 2019-01-01T01:01:01Z") from None


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogatepass")
