"""Reading one job, and asking which have ended."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

import pytest

from dataqueue.domain.job import JobStatus
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import NAMESPACE, REACHABLE, given_job


async def test_a_job_that_is_not_there_is_not_found(storage: Storage) -> None:
    await given_job(storage)
    for unknown in (new_id(), UUID(int=0), UUID(int=2**128 - 1)):
        with pytest.raises(NotFound):
            await storage.jobs(NAMESPACE).get(unknown)


@pytest.mark.parametrize("status", REACHABLE)
async def test_reading_a_job_twice_gives_the_same(storage: Storage, status: JobStatus) -> None:
    job = await given_job(storage, status=status)
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_every_instant_is_in_utc(storage: Storage) -> None:
    job = await given_job(storage, status=JobStatus.FAILED)
    instants = (job.run_at, job.created_at, job.updated_at, job.started_at, job.completed_at, job.last_failed_at)
    assert {instant.tzinfo for instant in instants if instant is not None} == {UTC}


async def test_ended_are_those_that_are_terminal_or_gone(storage: Storage) -> None:
    ids = {status: (await given_job(storage, status=status)).id for status in REACHABLE}
    gone = new_id()
    ended = await storage.jobs(NAMESPACE).ended([*ids.values(), gone])
    assert ended == {job_id for status, job_id in ids.items() if status.is_terminal} | {gone}
    assert await storage.jobs(NAMESPACE).ended([]) == set()


async def test_a_job_that_was_retried_has_not_ended(storage: Storage) -> None:
    job = await given_job(storage, status=JobStatus.FAILED)
    await storage.jobs(NAMESPACE).retry([job.id])
    assert await storage.jobs(NAMESPACE).ended([job.id]) == set()
