"""What was counted, held against what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from dataqueue.domain.counts import Counts, TagCounts
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Job, JobStatus
from dataqueue.storage.port import Storage


def counts(**jobs: int) -> Counts:
    """Counts of these, and none of the other statuses."""
    return {status: jobs.get(status.value, 0) for status in JobStatus}


async def every_job(storage: Storage, namespace: str) -> list[Job]:
    """All jobs there are, by listing them."""
    jobs: list[Job] = []
    before: Position | None = None
    while True:
        page = await storage.jobs(namespace).page(JobFilter(), before=before, limit=1000)
        jobs += page.jobs
        if (before := page.next) is None:
            return jobs


async def every_tag(storage: Storage, namespace: str, *, limit: int = 1000, prefix: str = "") -> list[TagCounts]:
    """All tags there are, a page after the other."""
    tags: list[TagCounts] = []
    while page := await storage.tally(namespace).tags(prefix=prefix, after=tags[-1].tag if tags else None, limit=limit):
        assert len(page) <= limit
        tags += page
    return tags


async def assert_what_was_counted_is_there(storage: Storage, namespace: str) -> None:
    """By status, by type and by tag, whatever has been folded: what listing all jobs says."""
    jobs = await every_job(storage, namespace)
    by_type = {name: _counted(job for job in jobs if job.job_type == name) for name in {job.job_type for job in jobs}}
    by_tag = {
        tag: _counted(job for job in jobs if tag in job.tags)
        for tag in sorted({tag for job in jobs for tag in job.tags})
    }
    stats = await storage.tally(namespace).stats()
    assert stats.by_status == _counted(jobs)
    assert stats.by_type == by_type
    types = await storage.job_types(namespace).page(after=None, limit=1000)
    assert {one.job_type: one.counts for one in types if any(one.counts.values())} == by_type
    for limit in (1, 2, 1000):
        tags = await every_tag(storage, namespace, limit=limit)
        assert [(one.tag, one.counts) for one in tags] == list(by_tag.items())


def _counted(jobs: Iterable[Job]) -> Any:
    found = Counter(job.status for job in jobs)
    return {status: found[status] for status in JobStatus}
