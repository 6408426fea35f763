"""Standard Webhooks 1.0.0: a receiver tells by the signature that a call is ours, and not an old one."""

from __future__ import annotations

import binascii
import hmac
import re
import secrets as random
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from dataqueue.errors import Invalid, InvalidSignature

PREFIX: Final = "whsec_"
# Either way: a clock may be behind as well as ahead.
TOLERANCE: Final = 300
_SHORTEST, _LONGEST, _OURS = 24, 64, 32
# No `v1a`: a receiver would need no secret of ours, and our part of the contract has none.
_VERSION: Final = "v1,"
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def new_secret() -> str:
    """A secret as it is shown, once."""
    return secret_text(random.token_bytes(_OURS))


def secret_text(key: bytes) -> str:
    """How that key is written."""
    return PREFIX + b64encode(key).decode("ascii")


def parse_secret(text: str) -> bytes:
    """The key that is written there. Invalid names what is wrong with it, and never the secret."""
    if not text.startswith(PREFIX):
        raise Invalid(f"a secret begins with {PREFIX}", loc=("secret",))
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = None
    # Written back, because a decoder lets bits pass that stand for nothing.
    if key is None or secret_text(key) != text:
        raise Invalid(f"what follows {PREFIX} is base64, padded with = where it has to be", loc=("secret",))
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise Invalid(
            f"a secret is of {_SHORTEST} to {_LONGEST} bytes before base64, and this one of {len(key)}", loc=("secret",)
        )
    return key


def sign(secrets: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: of each key in this order, so the newest one first."""
    # With one, the same text could be signed as another id at another time.
    if not id or "." in id:
        raise Invalid("the id of a message is not empty and has no full stop", loc=("id",))
    if not secrets:
        raise Invalid("nothing to sign with", loc=("secret",))
    text = _signed_text(id, str(timestamp), body)
    return " ".join(_VERSION + _signature(key, text).decode("ascii") for key in secrets)


def verify(secrets: Sequence[bytes], id: str, timestamp: str, signatures: str, body: bytes, *, now: float) -> None:
    """As a receiver does, with the three headers as they came. InvalidSignature says what does not hold."""
    if not id or "." in id:
        raise InvalidSignature("the message has no id, or one with a full stop")
    if not _SECONDS.fullmatch(timestamp):
        raise InvalidSignature("the timestamp is not a number of seconds")
    if abs(now - int(timestamp)) > TOLERANCE:
        raise InvalidSignature(f"the timestamp is more than {TOLERANCE} s away from now")
    text = _signed_text(id, timestamp, body)
    expected = [_signature(key, text) for key in secrets]
    # Every pair is compared, however early one fits: the time taken tells nothing about which.
    fits = 0
    for entry in signatures.split(" "):
        if entry.startswith(_VERSION):
            given = entry.removeprefix(_VERSION).encode("utf-8", "surrogatepass")
            fits += sum(hmac.compare_digest(given, one) for one in expected)
    if not fits:
        raise InvalidSignature("no signature is of one of the secrets")


def _signed_text(id: str, timestamp: str, body: bytes) -> bytes:
    return f"{id}.{timestamp}.".encode("utf-8", "surrogatepass") + body


def _signature(key: bytes, text: bytes) -> bytes:
    return b64encode(hmac.digest(key, text, "sha256"))
