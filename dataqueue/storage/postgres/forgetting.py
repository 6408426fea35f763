"""What belonged to jobs that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database

# While a transaction waits for a row it holds others that workers want to report on; so it waits briefly, and lets go
# of everything. That also ends a deadlock with whoever holds a token and wants a job.
WAIT_FOR_ROW: Final = "set local lock_timeout = '250ms'"


class Held(Exception):
    """Somebody else's transaction holds one of the jobs, or what a change of them is written to."""


async def forget(database: Database, connection: asyncpg.Connection, gone: Sequence[Row]) -> None:
    """Remove it, in the transaction that has removed the jobs (rows of `lib/deleted`). Held: that is to be undone."""
    if not gone:
        return
    await database.run_on(connection, "jobs/forget", ids=[row.id for row in gone])
    if stepped := [row.id for row in gone if row.has_steps]:
        await connection.execute(WAIT_FOR_ROW)
        try:
            await database.run_on(connection, "steps/forget", ids=stepped)
        except asyncpg.LockNotAvailableError:
            raise Held from None
