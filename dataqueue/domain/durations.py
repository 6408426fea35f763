"""Durations as the contract writes them: seconds, "1h30m", or an object of units (contract 0, details B1)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

SHORTEST: Final = timedelta(microseconds=1)
LONGEST: Final = timedelta(days=365 * 100)
UNITS: Final = {
    "seconds": 1,
    "minutes": 60,
    "hours": 3600,
    "days": 86_400,
    "weeks": 604_800,
    "months": 30 * 86_400,
    "years": 365 * 86_400,
}
_NUMBER: Final = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)"
TEXT_PATTERN: Final = rf"(?:{_NUMBER}w)?(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?"
_TEXT: Final = re.compile(TEXT_PATTERN)
_TEXT_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds")


def parse_duration(value: object, *, zero: bool = False) -> timedelta:
    """Read a duration; ValueError, fit to be shown to the caller, when it is none.

    `zero` also admits a duration of nothing, for waits and delays that may be absent.
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds) or abs(seconds) > LONGEST.total_seconds():
        raise ValueError("must be at most 100 years")
    if seconds < 0 or (seconds < SHORTEST.total_seconds() and not zero):
        raise ValueError("must not be negative" if zero else "must be a positive duration")
    return timedelta(seconds=seconds)


def _seconds(value: object) -> float:
    match value:
        case bool():
            raise ValueError("must be a duration, not a boolean")
        case int() if abs(value) > 2**53:
            raise ValueError("must be at most 100 years")
        case int() | float():
            return float(value)
        case str():
            parts = _TEXT.fullmatch(value)
            if parts is None or not value:
                raise ValueError('must look like "90s", "10m", "48h", "7d", "2w" or "1h30m"')
            return sum(float(n) * UNITS[u] for n, u in zip(parts.groups(), _TEXT_UNITS, strict=True) if n)
        case Mapping() if value:
            if unknown := [key for key in value if key not in UNITS]:
                raise ValueError(f"has an unknown unit; known are {', '.join(UNITS)}; unknown: {len(unknown)}")
            return sum(_amount(amount) * UNITS[unit] for unit, amount in value.items())
        case _:
            raise ValueError('must be seconds, a text like "1h30m", or an object like {"hours": 1}')


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value > 2**53:
        raise ValueError("must have numbers that are not negative as its amounts")
    return float(value)
