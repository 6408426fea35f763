"""Failed or cancelled to pending, by hand."""

from __future__ import annotations

import json

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, JobStatus
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    HOUR,
    LEASE,
    NAMESPACE,
    SECOND,
    claim_this,
    events_of,
    given_claimed_job,
    given_job,
)


async def test_a_failed_job_is_ready_again_with_its_history_and_without_its_reason(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, status=JobStatus.FAILED)
    clock.advance(HOUR)
    await jobs.retry([job.id])
    retried = await jobs.get(job.id)
    assert (retried.status, retried.pending_reason, retried.failure_reason) == (JobStatus.PENDING, None, None)
    assert (retried.completed_at, retried.next_attempt_at, retried.cancel_requested) == (None, None, False)
    assert retried.last_retried_at == retried.updated_at == clock.now()
    assert (retried.attempts, retried.max_attempts, retried.run_at) == (1, 3, job.run_at)
    assert (retried.error_history, retried.last_failed_at) == (job.error_history, job.last_failed_at)
    event = (await events_of(storage, job.id))[-1]
    assert (event.event, event.at, event.data) == (EventName.RETRIED, clock.now(), EMPTY_OBJECT)
    again = await claim_this(jobs, retried)
    assert (again.attempts, again.invocation) == (2, 2)


async def test_a_cancelled_job_is_ready_again_also_when_it_was_for_later(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, delay=HOUR, status=JobStatus.CANCELLED)
    clock.advance(SECOND)
    await jobs.retry([job.id])
    retried = await jobs.get(job.id)
    assert (retried.status, retried.run_at, retried.completed_at) == (JobStatus.PENDING, clock.now(), None)
    assert (retried.attempts, retried.max_attempts) == (0, 3)
    assert retried.last_cancelled_at == clock.now() - SECOND
    await claim_this(jobs, retried)


@pytest.mark.parametrize(("allowed", "granted"), [(1, 2), (2, 2), (5, 5)])
async def test_one_attempt_is_granted_when_none_is_left(storage: Storage, allowed: int, granted: int) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, max_attempts=allowed, status=JobStatus.FAILED)
    await jobs.retry([job.id])
    assert (await jobs.get(job.id)).max_attempts == granted


async def test_the_granted_attempt_is_the_last(storage: Storage) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, max_attempts=1, status=JobStatus.FAILED)
    await jobs.retry([job.id])
    again = await claim_this(jobs, job)
    await jobs.fail([again.lease], failures=[FOR_GOOD])
    failed = await jobs.get(job.id)
    assert (failed.status, failed.attempts, failed.max_attempts) == (JobStatus.FAILED, 2, 2)
    assert [entry["attempt"] for entry in json.loads(failed.error_history)] == [1, 2]


async def test_crashes_are_forgiven(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, max_attempts=1)
    for max_crashes in (1, 1):
        clock.advance(LEASE + SECOND)
        await storage.upkeep.reclaim(limit=10, max_crashes=max_crashes)
        if (await jobs.get(held.id)).status is JobStatus.PENDING:
            await claim_this(jobs, held)
    assert (await jobs.get(held.id)).failure_reason == "crashed"
    await jobs.retry([held.id])
    retried = await jobs.get(held.id)
    assert (retried.crashes, retried.attempts, retried.max_attempts, retried.failure_reason) == (0, 0, 1, None)
    assert (await claim_this(jobs, held)).crashes == 0


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETED])
async def test_what_has_not_failed_or_been_cancelled_cannot_be_retried(storage: Storage, status: JobStatus) -> None:
    job = await given_job(storage, status=status)
    with pytest.raises(IllegalTransition) as refusal:
        await storage.jobs(NAMESPACE).retry([job.id])
    assert (refusal.value.verb, refusal.value.job_id, refusal.value.status) == ("retry", job.id, status)
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_a_job_that_is_not_there_cannot_be_retried(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await storage.jobs(NAMESPACE).retry([new_id()])


async def test_of_several_those_that_can_be_are_retried_and_the_others_passed_over(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    failed = await given_job(storage, status=JobStatus.FAILED)
    cancelled = await given_job(storage, status=JobStatus.CANCELLED)
    done = await given_job(storage, status=JobStatus.COMPLETED)
    await jobs.retry([done.id, cancelled.id, new_id(), failed.id])
    await jobs.retry([])
    assert [(await jobs.get(job.id)).status for job in (failed, cancelled)] == [JobStatus.PENDING] * 2
    assert await jobs.get(done.id) == done
