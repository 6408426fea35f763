"""Pages of what no index decides, while jobs come and go between the looks of one page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import JobStatus, Json
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres import pages
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import NAMESPACE, claim, given_job, new_job
from tests.storage.plans import explaining_each
from tests.storage.raw import connected
from tests.storage.test_filters import walked

RARE = JobFilter(statuses=(JobStatus.PENDING,), priority=5)


@pytest.mark.parametrize("happens", ["jobs are added", "jobs are cancelled"])
async def test_a_walk_meets_each_job_that_stays_once_whatever_happens_between_its_looks(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    jobs = storage.jobs(NAMESPACE)
    made = [new_job(job_type="mail", priority=0 if n % 5 else 5) for n in range(40)]
    await jobs.enqueue([made])
    rare = [job.id for job in made if job.priority == 5]

    async def happen() -> None:
        if happens == "jobs are added":
            await jobs.enqueue([[new_job(job_type="mail") for _ in range(4)]])
        else:
            await jobs.cancel([job.id for job in made[33:38] if job.priority == 0])

    before_the_last_candidate_is_sought(storage, monkeypatch, happen)
    assert [job.id for job in await walked(storage, RARE, limit=6)] == rare[::-1]


def before_the_last_candidate_is_sought(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, happen: Callable[[], Awaitable[None]]
) -> None:
    """Have something happen once, between what a page finds and where it finds that its budget ran out."""
    assert isinstance(storage, PostgresStorage)
    fetch, left = Database._fetch, [happen]

    async def fetch_later(self: Database, connection: Any, prepared: Any, parameters: dict[str, object]) -> Any:
        if "as candidate" in prepared.sql and "offset" in prepared.sql and left:
            await left.pop()()
        return await fetch(self, connection, prepared, parameters)

    monkeypatch.setattr(Database, "_fetch", fetch_later)


@pytest.mark.parametrize("matching", [JobFilter(), RARE, JobFilter(tags=("a",))], ids=["all", "rare", "tagged"])
async def test_a_page_ends_where_it_becomes_large_and_the_next_goes_on_there(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, matching: JobFilter
) -> None:
    monkeypatch.setattr(pages, "_LARGEST", 1000)
    large, small = Json('"' + "x" * 700 + '"'), Json("{}")
    made = [
        new_job(job_type="mail", priority=5, tags=("a",), payload=payload)
        for payload in (small, small, large, large, small, large, *[small] * 5)
    ]
    await storage.jobs(NAMESPACE).enqueue([made])
    sizes: list[int] = []
    before: Position | None = None
    while not sizes or before is not None:
        page = await storage.jobs(NAMESPACE).page(matching, before=before, limit=10)
        sizes.append([job.payload for job in page.jobs].count(large))
        assert [job.id for job in page.jobs] == [job.id for job in made[::-1][: len(page.jobs)]]
        made, before = made[: -len(page.jobs)], page.next
    assert (made, sizes) == ([], [2, 1])


async def test_a_job_that_is_larger_than_a_page_is_one(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LARGEST", 1)
    made = [new_job(job_type="mail") for _ in range(3)]
    await storage.jobs(NAMESPACE).enqueue([made])
    page = await storage.jobs(NAMESPACE).page(JobFilter(), before=None, limit=10)
    assert [job.id for job in page.jobs] == [made[-1].id]
    assert [job.id for job in await walked(storage, JobFilter(), limit=10)] == [job.id for job in made[::-1]]


@pytest.mark.parametrize("many", ["pending of the type", "completed of others"])
async def test_completed_jobs_of_a_type_are_found_among_the_fewer(
    storage: Storage, postgres_url: str, many: str
) -> None:
    """They are in no index of their own: the page walks all of the type, or all that are completed."""
    assert isinstance(storage, PostgresStorage)
    jobs = storage.jobs(NAMESPACE)
    done = [await given_job(storage, job_type="mail", status=JobStatus.COMPLETED) for _ in range(3)]
    if many == "pending of the type":
        await jobs.enqueue([[new_job(job_type="mail") for _ in range(1000)]])
    else:
        await jobs.enqueue([[new_job(job_type="other") for _ in range(1000)]])
        claimed = await claim(jobs, "other", limit=1000)
        await jobs.complete([job.lease for job in claimed], outputs=[None] * 1000)
    await storage.upkeep.fold_counts(limit=10_000)
    async with connected(postgres_url) as connection:
        await connection.execute("analyze")
    async with explaining_each(storage.database) as plans:
        page = await jobs.page(JobFilter(job_types=("mail",), statuses=(JobStatus.COMPLETED,)), before=None, limit=10)
    assert [job.id for job in page.jobs] == [job.id for job in done[::-1]]
    assert sum(plan.buffers() for plan in plans) < 100
