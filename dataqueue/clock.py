"""The instant a storage decides by: its own clock in production, a hand-moved one in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Answers the instant to use, or None to let the storage read its own clock."""

    def now(self) -> datetime | None: ...


class StorageClock:
    """The storage's own clock: the only one that counts when several machines work together."""

    def now(self) -> datetime | None:
        return None


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward (or back, by a negative amount) and return the new instant."""
        self._now += by
        return self._now
