"""Lists of jobs, a page at a time, each at a bounded cost."""

from __future__ import annotations

from typing import Final

from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Job
from dataqueue.storage.answers import JobPage
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.filters import last_candidate_query, page_query, search, sizes_query
from dataqueue.storage.postgres.rows import job_of

_MOST_LOOKED_AT: Final = 50_000
_GROWTH: Final = 4


class Pages:
    """Reads pages. A filter that no index decides is tried on ever more candidates, and given up for this page after
    `_MOST_LOOKED_AT` of them: the next page goes on from there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, namespace: str, namespace_id: int, matching: JobFilter, *, before: Position | None, limit: int
    ) -> JobPage:
        tags_are_rarer = await self._tags_are_rarer(namespace_id, matching)
        jobs: list[Job] = []
        budget, looked_at = limit + 1, 0
        while True:
            found = search(matching, before=before, tags_are_rarer=tags_are_rarer)
            given = {**found.parameters, "namespace_id": namespace_id, "budget": budget}
            rows = await self._database.select(page_query(found), **given, limit=limit + 1 - len(jobs))
            jobs += [job_of(row, namespace) for row in rows]
            if len(jobs) > limit:
                last = jobs[limit - 1]
                return JobPage(jobs[:limit], Position(last.created_at, last.seq))
            if found.is_exact:
                return JobPage(jobs, None)
            ran_out = await self._database.select(last_candidate_query(found), **given)
            if not ran_out:
                return JobPage(jobs, None)
            before = Position(ran_out[0].created_at, ran_out[0].seq)
            looked_at += budget
            if looked_at >= _MOST_LOOKED_AT:
                return JobPage(jobs, before)
            budget = min(budget * _GROWTH, _MOST_LOOKED_AT - looked_at)

    async def _tags_are_rarer(self, namespace_id: int, matching: JobFilter) -> bool:
        query = sizes_query(matching)
        if query is None:
            return True
        [sizes] = await self._database.select(
            query, namespace_id=namespace_id, tags=list(matching.tags), job_types=list(matching.job_types)
        )
        return bool(sizes.tagged <= sizes.standing)
