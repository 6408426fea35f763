"""Processing to pending, given back by the worker itself."""

from __future__ import annotations

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, JobStatus, Lease, Reported
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    HOUR,
    NAMESPACE,
    SECOND,
    claim,
    claim_this,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job,
    told,
)


async def test_a_released_job_is_ready_with_its_attempt_given_back(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(SECOND)
    assert await jobs.release([held.lease]) == [Reported.OK]
    job = await jobs.get(held.id)
    assert (job.status, job.pending_reason, job.attempts, job.crashes) == (JobStatus.PENDING, None, 0, 0)
    assert (job.locked_by, job.locked_at, job.lease_expires_at) == (None, None, None)
    assert (job.updated_at, job.run_at, job.completed_at) == (clock.now(), clock.now() - SECOND, None)
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.data) == (EventName.RELEASED, EMPTY_OBJECT)


async def test_a_job_with_one_attempt_can_be_released_and_run_again(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, max_attempts=1)
    for invocation in range(2, 6):
        await jobs.release([held.lease])
        held = await claim_this(jobs, held)
        assert (held.attempts, held.invocation) == (1, invocation)


async def test_a_released_job_keeps_its_place(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    first, second = await given_claimed_jobs(storage, 2)
    await given_job(storage, job_type=first.job_type)
    await jobs.release([second.lease, first.lease])
    assert [job.id for job in await claim(jobs, first.job_type)][:2] == [first.id, second.id]


async def test_releasing_a_job_whose_cancel_was_requested_ends_it_cancelled(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    clock.advance(SECOND)
    assert await jobs.release([held.lease]) == [Reported.OK]
    job = await jobs.get(held.id)
    assert (job.status, job.cancel_requested) == (JobStatus.CANCELLED, False)
    assert job.last_cancelled_at == job.completed_at == clock.now()
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.CANCELLED]
    assert await jobs.release([held.lease]) == [Reported.DUPLICATE]


async def test_a_holder_whose_lease_has_expired_may_still_release(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(HOUR)
    assert await jobs.release([held.lease]) == [Reported.OK]
    assert (await jobs.get(held.id)).crashes == 0


async def test_a_batch_answers_for_each_lease_in_its_order(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    first, done, released = await given_claimed_jobs(storage, 3)
    await jobs.complete([done.lease], outputs=[None])
    await jobs.release([released.lease])
    leases = [done.lease, Lease(new_id(), 1), released.lease, first.lease]
    assert await jobs.release(leases) == [Reported.LOST, Reported.LOST, Reported.DUPLICATE, Reported.OK]
    assert await jobs.release([]) == []
