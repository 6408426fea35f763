"""Instants as Redis keeps them: whole microseconds since 1970, which a double holds exactly until 2255."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, overload

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(span: timedelta) -> int:
    """A length of time."""
    return span // _MICROSECOND


def micros_at(instant: datetime) -> int:
    """An instant."""
    return (instant - _EPOCH) // _MICROSECOND


@overload
def instant_of(text: str) -> datetime: ...
@overload
def instant_of(text: str | None) -> datetime | None: ...
def instant_of(text: str | None) -> datetime | None:
    """The instant that a number of microseconds is."""
    return None if text is None else _EPOCH + timedelta(microseconds=int(text))
