"""Where a list goes on: opaque to callers, and good only for the list it came from (details B15).

The check is a digest, not a signature: what a cursor holds is no secret and reaches no further than the
caller's own namespace. It is there so that a wrong cursor is refused instead of answering a wrong page. One that was
computed for a place that no list has is refused all the same.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct
from struct import error as StructError
from typing import Final, TypeVar
from uuid import UUID

from app.errors import Code, Problem, invalid
from dataqueue.domain.filters import Position
from dataqueue.domain.tokens import TokenPosition

T = TypeVar("T")
_CHECK: Final = 10
_PLACE: Final = Struct(">qq")
_PLACE_OF_TOKEN: Final = Struct(">q16s")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BYTES_OF_ID: Final = 8
_HIGHEST_ID: Final = 2**63 - 1


def write_cursor(place: bytes, *, of: Iterable[str]) -> str:
    """A cursor after `place` in the list that `of` describes."""
    return urlsafe_b64encode(_check(place, of) + place).decode()


def read_cursor(cursor: str, *, of: Iterable[str], as_a: Callable[[bytes], T]) -> T:
    """The place; 422 `invalid_cursor` for one that was not made by `write_cursor` for the same list."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii"))
    except ValueError:
        raise _invalid() from None
    check, place = raw[:_CHECK], raw[_CHECK:]
    if not compare_digest(check, _check(place, of)):
        raise _invalid()
    try:
        return as_a(place)
    except (ValueError, OverflowError, StructError):
        raise _invalid() from None


def place_of(position: Position) -> bytes:
    """Where a list of jobs goes on, for a cursor."""
    return _PLACE.pack(_microseconds(position.created_at), position.seq)


def position_of(place: bytes) -> Position:
    """The reverse of `place_of`."""
    microseconds, seq = _PLACE.unpack(place)
    return Position(_instant(microseconds), seq)


def place_of_token(position: TokenPosition) -> bytes:
    """Where a list of tokens goes on."""
    return _PLACE_OF_TOKEN.pack(_microseconds(position.created_at), position.id.bytes)


def token_position_of(place: bytes) -> TokenPosition:
    """The reverse of `place_of_token`."""
    microseconds, id = _PLACE_OF_TOKEN.unpack(place)
    return TokenPosition(_instant(microseconds), UUID(bytes=id))


def name_of(place: bytes) -> str:
    """Where a list by name goes on."""
    name = place.decode()
    if "\0" in name:
        raise ValueError("no name holds that")
    return name


def place_of_id(id: int) -> bytes:
    """Where a list by number goes on, for a cursor."""
    return id.to_bytes(_BYTES_OF_ID, "big")


def id_of(place: bytes) -> int:
    """The reverse of `place_of_id`."""
    id = int.from_bytes(place, "big")
    if len(place) != _BYTES_OF_ID or id > _HIGHEST_ID:
        raise ValueError("no number is that")
    return id


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _check(place: bytes, of: Iterable[str]) -> bytes:
    digest = blake2b(place, digest_size=_CHECK, person=b"dataqueue-list")
    for part in of:
        # Each part with its length, so that ("ab", "c") is not ("a", "bc").
        text = part.encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.digest()


def _invalid() -> Problem:
    return invalid(("query", "cursor"), "is not a cursor of this list with these filters", Code.INVALID_CURSOR)
