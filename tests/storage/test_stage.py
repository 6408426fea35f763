"""What has become due is made claimable."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.storage.answers import Staged
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_type,
    claim,
    claim_this,
    given_claimed_job,
    given_job,
    new_job,
)


async def test_without_jobs_nothing_is_due_ever(storage: Storage) -> None:
    await given_job(storage)
    assert await storage.upkeep.stage(limit=10) == Staged(0, None)


async def test_a_scheduled_job_is_ready_from_its_instant_on(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, delay=HOUR)
    clock.advance(HOUR - timedelta(microseconds=1))
    assert (await storage.upkeep.stage(limit=10)).count == 0
    assert await jobs.get(job.id) == job
    clock.advance(timedelta(microseconds=1))
    assert await storage.upkeep.stage(limit=10) == Staged(1, None)
    staged = await jobs.get(job.id)
    assert (staged.status, staged.pending_reason, staged.run_at) == (JobStatus.PENDING, None, job.run_at)
    assert staged.updated_at == clock.now()
    assert (await claim_this(jobs, job)).attempts == 1


async def test_a_retry_is_ready_from_its_instant_on(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.fail([held.lease], failures=[FOR_NOW])
    clock.advance(MINUTE)
    assert await storage.upkeep.stage(limit=10) == Staged(1, None)
    job = await jobs.get(held.id)
    assert (job.pending_reason, job.next_attempt_at) == (None, None)
    assert (await claim_this(jobs, held)).attempts == 2


async def test_staging_says_when_the_next_job_is_due(storage: Storage, clock: ManualClock) -> None:
    await given_job(storage, delay=HOUR)
    await given_job(storage, delay=MINUTE + timedelta(milliseconds=250))
    assert await storage.upkeep.stage(limit=10) == Staged(0, 60.25)
    clock.advance(2 * MINUTE)
    assert await storage.upkeep.stage(limit=10) == Staged(1, 58 * 60)


async def test_a_job_that_was_cancelled_is_not_waited_for(storage: Storage) -> None:
    job = await given_job(storage, delay=HOUR)
    await storage.jobs(NAMESPACE).cancel([job.id])
    assert await storage.upkeep.stage(limit=10) == Staged(0, None)


async def test_no_more_are_staged_than_asked_for_and_the_longest_due_go_first(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    asked = [new_job(job_type=job_type, delay=n * SECOND) for n in (3, 1, 2)]
    await jobs.enqueue([asked])
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=2)).count == 2
    assert [job.id for job in await claim(jobs, job_type)] == [asked[1].id, asked[2].id]
    assert (await storage.upkeep.stage(limit=2)).count == 1


async def test_staged_jobs_are_claimed_in_the_order_of_run_at_among_those_that_were_ready(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job_type, start = storage.jobs(NAMESPACE), a_type(), clock.now()
    late, early = new_job(job_type=job_type, delay=2 * SECOND), new_job(job_type=job_type, delay=SECOND)
    await jobs.enqueue([[late, early]])
    clock.advance(MINUTE)
    now = await given_job(storage, job_type=job_type)
    older = await given_job(storage, job_type=job_type, run_at=start)
    await storage.upkeep.stage(limit=10)
    assert [job.id for job in await claim(jobs, job_type)] == [older.id, early.id, late.id, now.id]


async def test_any_number_of_stagers_stage_each_job_once(storage: Storage, clock: ManualClock) -> None:
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    await jobs.enqueue([[new_job(job_type=job_type, delay=SECOND) for _ in range(60)]])
    clock.advance(SECOND)
    rounds = await asyncio.gather(*(storage.upkeep.stage(limit=10) for _ in range(10)))
    last = await storage.upkeep.stage(limit=100)
    assert sum(staged.count for staged in rounds) + last.count == 60
    assert len(await claim(jobs, job_type)) == 60
