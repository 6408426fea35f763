"""Values as the contract writes them: JSON, instants, durations, names in a path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import quote
from uuid import UUID

from dataqueue.domain.durations import parse_duration

Instant: TypeAlias = datetime | str
"""A datetime that knows its offset, or RFC 3339 text."""
Duration: TypeAlias = timedelta | float | str | Mapping[str, float]
"""A timedelta, seconds, a text such as "1h30m", or an object such as {"hours": 1}."""


# The standard library's codec, because orjson turns integers beyond 64 bits into floats: a payload would not come
# back as it was given.
def encode(value: object) -> bytes:
    """JSON. TypeError and ValueError for what it cannot hold (NaN, lone surrogates, objects of your own)."""
    return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode(text: bytes | str) -> Any:
    """What is in JSON, integers exact; ValueError for anything that is none."""
    return json.loads(text)


def instant(value: Instant) -> str:
    """An instant as text, in UTC. Text goes as it is: the service judges it."""
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError("an instant needs an offset, as datetime.now(UTC) has one")
    return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def seconds_of(value: Duration, *, zero: bool = False) -> float:
    """A duration in seconds; ValueError for what is none, or longer than a century."""
    return parse_duration(_in_seconds(value), zero=zero).total_seconds()


def segment(name: object) -> str:
    """One part of a path. A name may hold slashes; one of dots alone would be resolved away."""
    quoted = quote(str(name), safe="")
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def _in_seconds(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _plain(value: object) -> object:
    match value:
        case datetime():
            return instant(value)
        case timedelta():
            return value.total_seconds()
        case UUID():
            return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON: give text, numbers, lists and dicts")
