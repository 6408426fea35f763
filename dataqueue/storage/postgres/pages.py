"""Lists of jobs, a page at a time, each at a bounded cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Job
from dataqueue.storage.answers import JobPage
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.filters import Search, Sizes, last_candidate_query, page_query, search, sizes_query
from dataqueue.storage.postgres.rows import job_of

_MOST_LOOKED_AT: Final = 50_000
_GROWTH: Final = 4
_LARGEST: Final = 16 << 20


class Pages:
    """Reads pages. A filter that no index decides is tried on ever more candidates, and given up for this page after
    `_MOST_LOOKED_AT` of them: the next page goes on from there. So it does where a page comes to `_LARGEST` bytes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, namespace: str, namespace_id: int, matching: JobFilter, *, before: Position | None, limit: int
    ) -> JobPage:
        sizes = await self._sizes(namespace_id, matching)
        jobs: list[Job] = []
        budget, looked_at, size = limit + 1, 0, 0
        while True:
            found = search(matching, before=before, sizes=sizes)
            given = {**found.parameters, "namespace_id": namespace_id, "budget": budget}
            rows, end = await self._look(found, given, limit=limit + 1 - len(jobs), most=max(_LARGEST - size, 1))
            jobs += [job_of(row, namespace) for row in rows]
            size += sum(row.size for row in rows)
            if len(jobs) > limit:
                last = jobs[limit - 1]
                return JobPage(jobs[:limit], Position(last.created_at, last.seq))
            if _is_cut(rows):
                return JobPage(jobs, Position(jobs[-1].created_at, jobs[-1].seq))
            if end is None:
                return JobPage(jobs, None)
            before = end
            looked_at += budget
            if looked_at >= _MOST_LOOKED_AT:
                return JobPage(jobs, before)
            budget = min(budget * _GROWTH, _MOST_LOOKED_AT - looked_at)

    async def _look(
        self, found: Search, given: dict[str, object], *, limit: int, most: int
    ) -> tuple[Sequence[Row], Position | None]:
        """What matches, and where the budget ran out, None if it did not or enough was found. Both by one snapshot:
        whatever comes or goes between two of them would move the end, over jobs never looked at or looked at before."""
        if found.is_exact:
            return await self._database.select(page_query(found), **given, limit=limit, most=most), None
        async with self._database.snapshot() as connection:
            rows = await self._database.select_on(connection, page_query(found), **given, limit=limit, most=most)
            if len(rows) >= limit or _is_cut(rows):
                return rows, None
            last = await self._database.select_on(connection, last_candidate_query(found), **given)
        return rows, Position(last[0].created_at, last[0].seq) if last else None

    async def _sizes(self, namespace_id: int, matching: JobFilter) -> Sizes | None:
        query = sizes_query(matching)
        if query is None:
            return None
        [sizes] = await self._database.select(
            query, namespace_id=namespace_id, tags=list(matching.tags), job_types=list(matching.job_types)
        )
        return Sizes(sizes.tags_are_rarer, sizes.types_are_rarer)


def _is_cut(rows: Sequence[Row]) -> bool:
    """Whether more was found than was read, because that is large."""
    return bool(rows) and rows[0].found > len(rows)
