"""Changes that take several statements as one act: edits, retries, deletions, and bulk changes by a filter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar
from uuid import UUID

import asyncpg

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import JobStatus
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.answers import Swept
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.edit import parameters_of
from dataqueue.storage.postgres.filters import Search, search, under_lock
from dataqueue.storage.postgres.forgetting import WAIT_FOR_ROW, Held, forget
from dataqueue.storage.postgres.statements import Statement, numbered

T = TypeVar("T")

_GIVE_UP: Final = 10.0
_STATEMENTS: Final = {
    Verb.CANCEL: "jobs/cancel",
    Verb.RETRY: "jobs/retry",
    Verb.EDIT: "jobs/edit",
    Verb.DELETE: "jobs/delete",
}
_LOOKED_AT: Final = 4  # candidates for each job of a batch, where a filter is not decided by its index
_LAST: Final = """(values (1)) as one left join lateral (
            select created_at, seq from (
                (select created_at, seq from found order by created_at desc, seq desc
                    offset cast(:limit as bigint) - 1 limit 1)
                union all
                (select created_at, seq from candidate order by created_at desc, seq desc
                    offset cast(:budget as bigint) - 1 limit 1)
            ) as cut order by created_at desc, seq desc limit 1
        ) as last on true"""


class Changes:
    """Changes jobs by their ids, or by a filter; each call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def these(
        self, verb: Verb, namespace_id: int, job_ids: Sequence[UUID], *, edit: JobEdit | None = None
    ) -> list[Row]:
        """Change jobs by id; a row of the verb's statement for each that is there."""

        async def change() -> list[Row]:
            async with self._database.transaction() as connection:
                held = await self._database.run_on(
                    connection, "jobs/hold", namespace_id=namespace_id, ids=list(job_ids)
                )
                return await self._change(connection, verb, namespace_id, [row.id for row in held], edit)

        return await _until_free(change)

    async def sweep(
        self,
        verb: Verb,
        namespace_id: int,
        matching: JobFilter,
        *,
        before: Position | None,
        limit: int,
        edit: JobEdit | None,
        dry_run: bool,
    ) -> Swept:
        """One batch, see `JobStore.sweep`. StorageUnavailable when somebody holds one of its jobs for too long."""
        asked = matching.statuses or JobStatus
        statuses = tuple(status for status in JobStatus if status in asked and allows(verb, status))
        if not statuses:
            return Swept(0, 0, frozenset(), None)
        narrowed = replace(matching, statuses=statuses)
        found = search(narrowed, before=before)
        budget = limit if found.is_exact else _LOOKED_AT * limit
        given = {**found.parameters, "namespace_id": namespace_id, "budget": budget, "limit": limit}
        if dry_run:
            [row] = await self._database.select(_count(found), **given)
            return Swept(row.matched, 0, frozenset(), _after(row))
        query = _lock(found, narrowed)
        # Skipping rows that are held would leave jobs out, and count wrong.
        return await _until_free(lambda: self._batch(verb, namespace_id, query, given, edit))

    async def _batch(
        self, verb: Verb, namespace_id: int, query: Statement, given: dict[str, object], edit: JobEdit | None
    ) -> Swept:
        async with self._database.transaction() as connection:
            await connection.execute(WAIT_FOR_ROW)
            try:
                [found] = await self._database.select_on(connection, query, **given)
                rows = await self._change(connection, verb, namespace_id, found.ids, edit) if found.ids else []
            except asyncpg.LockNotAvailableError:  # of a job, or of the log of events, where a day is being prepared
                raise Held from None
            changed = [row for row in rows if row.is_changed]
            return Swept(len(rows), len(changed), frozenset(row.job_type for row in changed), _after(found))

    async def _change(
        self, connection: asyncpg.Connection, verb: Verb, namespace_id: int, ids: list[UUID], edit: JobEdit | None
    ) -> list[Row]:
        """By the statement of the verb, on jobs that this transaction has locked."""
        values = {} if edit is None else parameters_of(edit)
        rows = await self._database.run_on(connection, _STATEMENTS[verb], namespace_id=namespace_id, ids=ids, **values)
        if verb is Verb.DELETE:
            await forget(self._database, connection, [row for row in rows if row.is_changed])
        return rows


async def _until_free(act: Callable[[], Awaitable[T]]) -> T:
    """Try again for a while, where somebody else's transaction is in the way."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _GIVE_UP
    while True:
        try:
            return await act()
        except Held:
            if loop.time() >= give_up:
                raise StorageUnavailable("another transaction holds one of the jobs to change") from None
        await asyncio.sleep(random.uniform(0.05, 0.25))


def _found(found: Search) -> str:
    alias = found.alias
    return f"""with candidate as materialized ({found.candidates}),
        found as materialized (
            select {alias}.id, {alias}.created_at, {alias}.seq from candidate as {alias} {found.rest}
            order by {alias}.created_at desc, {alias}.seq desc limit :limit
        )"""


def _count(found: Search) -> Statement:
    return numbered(f"""
        {_found(found)}
        select last.created_at, last.seq, (select count(*) from found) as matched from {_LAST}""")


def _lock(found: Search, matching: JobFilter) -> Statement:
    """Lock what matches. It is found by a snapshot and looked at again under the lock: what has moved meanwhile, or was
    edited so that it no longer matches, is left alone."""
    of_job, of_spec = under_lock(matching)
    conditions = " and ".join(["j.id = any(array(select id from found))", *of_job, *of_spec])
    spec = "join dataqueue.job_spec s on s.id = j.id and s.id = any(array(select id from found))" if of_spec else ""
    return numbered(f"""
        {_found(found)},
        held as materialized (
            select j.id from dataqueue.job j {spec} where {conditions}
            order by j.id for no key update of j{", s" if of_spec else ""}
        )
        select last.created_at, last.seq, array(select id from held) as ids from {_LAST}""")


def _after(row: Row) -> Position | None:
    """Where the next batch begins: after the last job looked at, if there may be more."""
    return None if row.seq is None else Position(row.created_at, row.seq)
