"""What a field of a job may hold when Python code says it: the rules of the wire, in Python's types.

Each function answers the value as it is kept, or raises Invalid with `at`, the place of the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from dataqueue.domain.durations import parse_duration
from dataqueue.domain.job import EARLIEST, LATEST, Json
from dataqueue.domain.limits import (
    HIGHEST_PRIORITY,
    LONGEST_KEY,
    LONGEST_TAG,
    LONGEST_TIMEOUT_MS,
    LOWEST_PRIORITY,
    MOST_ATTEMPTS,
    MOST_TAGS,
)
from dataqueue.domain.names import NAME_RULE, is_name
from dataqueue.errors import Invalid
from dataqueue.ids import is_uuid7
from dataqueue.json_text import Unstorable, json_text

T = TypeVar("T")

Duration: TypeAlias = float | timedelta | str | Mapping[str, float]
"""Seconds, a timedelta, a text like "1h30m", or units like {"hours": 1}."""
At: TypeAlias = tuple[str | int, ...]

_NOT_JSON: Final = "invalid_json"
_TOO_LARGE: Final = "payload_too_large"


def optional(check: Callable[[Any, At], T], value: object, at: At) -> T | None:
    """None, or what `check` makes of the value."""
    return None if value is None else check(value, at)


def name(value: object, at: At) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise refused(at, f"must be {NAME_RULE}")
    return value


def payload(value: object, at: At, *, most: int) -> Json:
    """The payload as JSON text of at most `most` bytes."""
    try:
        text = json_text(value)
    except Unstorable as error:
        raise refused(at, str(error), code=_NOT_JSON) from error.__cause__
    size = len(text) if text.isascii() else len(text.encode())
    if size > most:
        raise refused(at, f"is {size} bytes of JSON, more than the limit of {most}", code=_TOO_LARGE)
    return text


def priority(value: object, at: At) -> int:
    return whole(value, at, least=LOWEST_PRIORITY, most=HIGHEST_PRIORITY)


def attempts(value: object, at: At) -> int:
    return whole(value, at, least=1, most=MOST_ATTEMPTS)


def milliseconds(value: object, at: At) -> int:
    return whole(value, at, least=1, most=LONGEST_TIMEOUT_MS)


def whole(value: object, at: At, *, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(at, f"must be an integer from {least} to {most}")
    return int(value)


def flag(value: object, at: At) -> bool:
    if not isinstance(value, bool):
        raise refused(at, "must be True or False")
    return value


def tags(value: object, at: At) -> tuple[str, ...]:
    """Each once, in order."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise refused(at, "must be a list of texts")
    if len(value) > MOST_TAGS:
        raise refused(at, f"must be at most {MOST_TAGS}")
    return tuple(dict.fromkeys(_text(tag, (*at, index), most=LONGEST_TAG) for index, tag in enumerate(value)))


def key(value: object, at: At) -> str:
    return _text(value, at, most=LONGEST_KEY)


def instant(value: object, at: At) -> datetime:
    """In UTC."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise refused(at, "must be a datetime with a time zone, as datetime.now(UTC) is")
    # Not converted first: the offset of a year at either end overflows.
    if not EARLIEST <= value < LATEST:
        raise refused(at, f"must lie between the years {EARLIEST.year} and {LATEST.year - 1}")
    return value.astimezone(UTC)


def delay(value: object, at: At) -> timedelta:
    return _duration(value, at, zero=False)


def seconds(value: object, at: At) -> float:
    return _duration(value, at, zero=True).total_seconds()


def positive_seconds(value: object, at: At) -> float:
    return _duration(value, at, zero=False).total_seconds()


def uuid(value: object, at: At) -> UUID:
    """An id that exists somewhere, as a UUID or as text."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise refused(at, "must be a UUID")


def own_id(value: object, at: At) -> UUID:
    """An id that a caller gives to a job."""
    id = uuid(value, at)
    if not is_uuid7(id):
        raise refused(at, "must be a UUID of version 7")
    return id


def refused(at: At, message: str, *, code: str | None = None) -> Invalid:
    """The error for a field, which its message names too."""
    return Invalid(f"{'.'.join(map(str, at))} {message}", loc=at, code=code)


def _text(value: object, at: At, *, most: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise refused(at, f"must be a text of 1 to {most} characters")
    if "\0" in value:
        raise refused(at, "must not hold a NUL character", code=_NOT_JSON)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refused(at, "must not hold half a surrogate pair", code=_NOT_JSON) from None
    return value


def _duration(value: object, at: At, *, zero: bool) -> timedelta:
    try:
        return parse_duration(value.total_seconds() if isinstance(value, timedelta) else value, zero=zero)
    except ValueError as error:
        raise refused(at, str(error)) from None
