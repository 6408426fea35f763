"""Lists of jobs, newest first."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Job, JobStatus
from dataqueue.storage.answers import JobPage
from dataqueue.storage.port import Storage
from tests.storage.given import HOUR, NAMESPACE, REACHABLE, SECOND, a_type, given_job, new_job

ALL = JobFilter()


def place_of(job: Job) -> Position:
    return Position(job.created_at, job.seq)


async def ids_of(storage: Storage, matching: JobFilter) -> list[UUID]:
    return [job.id for job in (await storage.jobs(NAMESPACE).page(matching, before=None, limit=1000)).jobs]


async def test_an_empty_storage_has_an_empty_page(storage: Storage) -> None:
    assert await ids_of(storage, ALL) == []


async def test_a_page_holds_jobs_as_read_newest_first_whatever_their_priority_and_time(storage: Storage) -> None:
    first = await given_job(storage, priority=5, delay=HOUR)
    second = await given_job(storage, status=JobStatus.FAILED)
    third = await given_job(storage, priority=-5)
    jobs = storage.jobs(NAMESPACE)
    assert await jobs.page(ALL, before=None, limit=10) == JobPage([third, second, first], None)
    assert await jobs.page(ALL, before=None, limit=3) == JobPage([third, second, first], None)
    assert await jobs.page(ALL, before=None, limit=2) == JobPage([third, second], place_of(second))


async def test_a_page_can_be_narrowed_by_status(storage: Storage) -> None:
    ids = {status: (await given_job(storage, status=status)).id for status in REACHABLE}
    for status, job_id in ids.items():
        assert await ids_of(storage, JobFilter(statuses=(status,))) == [job_id]
    several = (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.WAITING)
    assert await ids_of(storage, JobFilter(statuses=several)) == [ids[status] for status in several[::-1]]
    assert await ids_of(storage, JobFilter(statuses=tuple(JobStatus))) == list(ids.values())[::-1]


async def test_a_page_can_be_narrowed_by_type(storage: Storage) -> None:
    first, second, third = [(await given_job(storage, job_type=name)).id for name in ("a", "b", "A")]
    assert await ids_of(storage, JobFilter(job_types=("a",))) == [first]
    assert await ids_of(storage, JobFilter(job_types=("A", "b"))) == [third, second]
    assert await ids_of(storage, JobFilter(job_types=("a%", a_type(), ""))) == []


async def test_status_and_type_narrow_together(storage: Storage) -> None:
    wanted = await given_job(storage, job_type="a", status=JobStatus.COMPLETED)
    await given_job(storage, job_type="b", status=JobStatus.COMPLETED)
    await given_job(storage, job_type="a")
    assert await ids_of(storage, JobFilter(statuses=(JobStatus.COMPLETED,), job_types=("a",))) == [wanted.id]


@pytest.mark.parametrize(
    "matching", [ALL, JobFilter(statuses=(JobStatus.PENDING,)), JobFilter(job_types=("a", "b"))], ids=str
)
async def test_walking_the_pages_meets_each_job_once_while_jobs_are_added(
    storage: Storage, matching: JobFilter
) -> None:
    jobs = storage.jobs(NAMESPACE)
    at_first = [new_job(job_type="ab"[n % 2]) for n in range(25)]
    await jobs.enqueue([at_first])
    met: list[Job] = []
    page = JobPage([], None)
    while not met or page.next:
        page = await jobs.page(matching, before=page.next, limit=4)
        met += page.jobs
        await jobs.enqueue([[new_job(job_type="a") for _ in range(3)]])
    assert [job.id for job in met] == [job.id for job in at_first[::-1]]


async def test_there_is_nothing_before_the_first_job(storage: Storage) -> None:
    job = await given_job(storage)
    jobs, before = storage.jobs(NAMESPACE), place_of(job)
    assert await jobs.page(ALL, before=before, limit=10) == JobPage([], None)
    later, earlier = replace(before, seq=before.seq + 1), replace(before, created_at=before.created_at - SECOND)
    assert await jobs.page(ALL, before=later, limit=10) == JobPage([job], None)
    assert await jobs.page(ALL, before=earlier, limit=10) == JobPage([], None)
