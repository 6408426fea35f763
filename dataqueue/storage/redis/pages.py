"""Lists of jobs, a page at a time, each at a bounded cost."""

from __future__ import annotations

from typing import Final

from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Job
from dataqueue.storage.answers import JobPage
from dataqueue.storage.redis.filters import asked_of, placed
from dataqueue.storage.redis.instants import instant_of
from dataqueue.storage.redis.rows import job_of
from dataqueue.storage.redis.server import Server

_MOST_LOOKED_AT: Final = 50_000
_LARGEST: Final = 16 << 20
_OF_A_SCRIPT: Final = 200
_READ_AT_ONCE: Final = 50
_LARGEST_OF_A_SCRIPT: Final = 1 << 20
"""A script keeps everybody else waiting, so it looks at few jobs, reads fewer, and copies little."""


async def page(server: Server, namespace: str, matching: JobFilter, *, before: Position | None, limit: int) -> JobPage:
    """See `JobStore.page`. What no list decides is looked at job by job, and given up for this page after
    `_MOST_LOOKED_AT` of them: the next page goes on from there. So it does where a page comes to `_LARGEST` bytes.

    A page takes several scripts, and what happens between them shows in it; each goes on exactly where the one before
    it ended, so a job that stays is met once.
    """
    asked = asked_of(matching)
    if asked is None:
        return JobPage([], None)
    jobs: list[Job] = []
    looked_at = size = 0
    while True:
        room = min(limit - len(jobs), _READ_AT_ONCE), _OF_A_SCRIPT, min(_LARGEST - size, _LARGEST_OF_A_SCRIPT)
        found = await server.run("jobs/page", namespace, asked, *placed(before), *room)
        why, created_at, seq, looked, read = found[:5]
        jobs += [job_of(one, namespace) for one in found[5:]]
        if why == "end":
            return JobPage(jobs, None)
        if seq != "":
            before = Position(instant_of(created_at), seq)
        looked_at, size = looked_at + looked, size + read
        if why == "more" and (len(jobs) == limit or size >= _LARGEST):
            return JobPage(jobs, Position(jobs[-1].created_at, jobs[-1].seq))
        if looked_at >= _MOST_LOOKED_AT:
            return JobPage(jobs, before)
