"""A look past the port, for tests of what only PostgreSQL has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection of the test's own, as somebody else would have one."""
    parsed = make_url(url)
    connection = await asyncpg.connect(
        host=parsed.query.get("host", parsed.host), port=5432, user=parsed.username, database=parsed.database
    )
    try:
        yield connection
    finally:
        await connection.close()
