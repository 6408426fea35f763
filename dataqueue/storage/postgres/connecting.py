"""How we connect: URLs, time limits, the shape of a row."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

CONNECT_TIMEOUT: Final = 1.5
_OF_SQLALCHEMY: Final = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback"})
"""Options that SQLAlchemy knows and that would reach the server as settings it does not have."""


class Row(asyncpg.Record):  # type: ignore[misc]  # the driver has no types
    """A row whose columns are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def dsn_of(url: str) -> str:
    """The URL as the driver takes it, from any of the forms that people write; `?host=` may name a socket's folder."""
    parts = urlsplit(re.sub(r"^postgres(ql)?(\+asyncpg)?://", "postgresql://", url))
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in _OF_SQLALCHEMY]
    return urlunsplit(parts._replace(query=urlencode(query)))


def make_pool(url: str, *, size: int, patience: float) -> asyncpg.Pool:
    """A pool that connects when first used, and gives up on a database that is gone in under two seconds.

    `patience`: seconds a statement may take; one that is not answered by then has an unknown outcome.
    Connections are given back as they are: no statement of ours leaves anything behind in a session.
    """
    return asyncpg.create_pool(
        dsn_of(url),
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=patience,
        record_class=Row,
        reset=_leave_as_it_is,
    )


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """A connection of one's own."""
    return await asyncpg.connect(dsn_of(url), **options)


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    return
