"""Where a list goes on: opaque to callers, and good only for the list it came from (details B15).

The check is a digest, not a signature: what a cursor holds is no secret and reaches no further than the
caller's own namespace. It is there so that a wrong cursor is refused instead of answering a wrong page.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from app.errors import Code, Problem, invalid

_POSITION: Final = 8
_CHECK: Final = 10
_LONGEST: Final = 2**63 - 1


def write_cursor(position: int, *, of: Iterable[str]) -> str:
    """A cursor after `position` in the list that `of` describes."""
    place = position.to_bytes(_POSITION, "big")
    return urlsafe_b64encode(place + _check(place, of)).decode()


def read_cursor(cursor: str, *, of: Iterable[str]) -> int:
    """The position; 422 `invalid_cursor` for one that was not made by `write_cursor` for the same list."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii"))
    except ValueError:
        raise _invalid() from None
    place, check = raw[:_POSITION], raw[_POSITION:]
    position = int.from_bytes(place, "big")
    if len(raw) != _POSITION + _CHECK or not compare_digest(check, _check(place, of)) or position > _LONGEST:
        raise _invalid()
    return position


def _check(place: bytes, of: Iterable[str]) -> bytes:
    digest = blake2b(place, digest_size=_CHECK, person=b"dataqueue-list")
    for part in of:
        # Each part with its length, so that ("ab", "c") is not ("a", "bc").
        text = part.encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.digest()


def _invalid() -> Problem:
    return invalid(("query", "cursor"), "is not a cursor of this list with these filters", Code.INVALID_CURSOR)
