"""The kinds of storage there are, and which of them a URL is for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Backend(StrEnum):
    """What jobs are kept in."""

    POSTGRES = "postgres"
    REDIS = "redis"


SCHEMES: Final = {
    "postgresql": Backend.POSTGRES,
    "postgres": Backend.POSTGRES,
    "postgresql+asyncpg": Backend.POSTGRES,
    "redis": Backend.REDIS,
    "rediss": Backend.REDIS,
    "unix": Backend.REDIS,
    "redis+cluster": Backend.REDIS,
    "rediss+cluster": Backend.REDIS,
}


def backend_of(url: str) -> Backend | None:
    """The kind of storage behind a URL; None if there is none of its scheme."""
    scheme, separator, _ = url.partition("://")
    return SCHEMES.get(scheme) if separator else None
