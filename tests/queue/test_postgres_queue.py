"""A queue's pages on PostgreSQL, which looks at so many rows at a time."""

from __future__ import annotations

import pytest

from dataqueue.job_spec import JobSpec
from dataqueue.queue import Queue
from dataqueue.storage.postgres import pages


async def test_jobs_are_found_by_their_tags_however_many_others_are_newer(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_MOST_LOOKED_AT", 20)
    wanted = [(await queue.add_job("mail", tags=["a"])).id for _ in range(3)]
    await queue.add_jobs(JobSpec("mail", tags=["a", "b"]) for _ in range(100))
    assert [job.id for job in await queue.get_jobs_by_tags(["a"], "exact", limit=2)] == wanted[:0:-1]
    assert [job.id for job in await queue.get_jobs_by_tags(["a"], "exact")] == wanted[::-1]
