"""Pending or waiting to cancelled; a processing job is marked first."""

from __future__ import annotations

from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, Beat, JobStatus
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    LEASE,
    NAMESPACE,
    SECOND,
    claim,
    events_of,
    given_claimed_job,
    given_job,
    told,
)


async def test_a_pending_job_is_cancelled_at_once(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage)
    clock.advance(SECOND)
    await jobs.cancel([job.id])
    cancelled = await jobs.get(job.id)
    assert (cancelled.status, cancelled.cancel_requested) == (JobStatus.CANCELLED, False)
    assert cancelled.last_cancelled_at == cancelled.completed_at == cancelled.updated_at == clock.now()
    event = (await events_of(storage, job.id))[-1]
    assert (event.event, event.at, event.data) == (EventName.CANCELLED, clock.now(), EMPTY_OBJECT)
    assert await claim(jobs, job.job_type) == []


async def test_a_scheduled_job_that_was_cancelled_does_not_become_ready(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, delay=HOUR)
    await jobs.cancel([job.id])
    cancelled = await jobs.get(job.id)
    assert (cancelled.pending_reason, cancelled.run_at) == (None, job.run_at)
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 0
    assert await claim(jobs, job.job_type) == []


async def test_a_job_waiting_for_its_next_attempt_is_cancelled_and_keeps_what_it_failed_of(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.fail([held.lease], failures=[FOR_NOW])
    await jobs.cancel([held.id])
    job = await jobs.get(held.id)
    assert (job.status, job.next_attempt_at, job.failure_reason) == (JobStatus.CANCELLED, None, "handler_error")
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 0


async def test_a_processing_job_is_marked_and_goes_on(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    before = await jobs.get(held.id)
    clock.advance(SECOND)
    await jobs.cancel([held.id])
    job = await jobs.get(held.id)
    assert (job.status, job.cancel_requested, job.updated_at) == (JobStatus.PROCESSING, True, clock.now())
    assert (job.locked_by, job.lease_expires_at) == (before.locked_by, before.lease_expires_at)
    assert (job.last_cancelled_at, job.completed_at) == (None, None)
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING]


async def test_a_second_cancel_meanwhile_is_accepted_and_changes_nothing(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    marked = await jobs.get(held.id)
    clock.advance(SECOND)
    await jobs.cancel([held.id])
    assert await jobs.get(held.id) == marked
    assert await jobs.heartbeat([held.lease], lease=LEASE) == [Beat.CANCEL]


@pytest.mark.parametrize("status", [status for status in JobStatus if status.is_terminal])
async def test_what_has_ended_cannot_be_cancelled(storage: Storage, status: JobStatus) -> None:
    job = await given_job(storage, status=status)
    with pytest.raises(IllegalTransition) as refusal:
        await storage.jobs(NAMESPACE).cancel([job.id])
    assert (refusal.value.verb, refusal.value.job_id, refusal.value.status) == ("cancel", job.id, status)
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_a_job_that_is_not_there_cannot_be_cancelled(storage: Storage) -> None:
    for unknown in (new_id(), UUID(int=0)):
        with pytest.raises(NotFound):
            await storage.jobs(NAMESPACE).cancel([unknown])


async def test_of_several_those_that_can_be_are_cancelled_and_the_others_passed_over(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    pending, done = await given_job(storage), await given_job(storage, status=JobStatus.COMPLETED)
    held = await given_claimed_job(storage)
    await jobs.cancel([done.id, new_id(), held.id, pending.id])
    await jobs.cancel([])
    assert (await jobs.get(pending.id)).status is JobStatus.CANCELLED
    assert (await jobs.get(held.id)).cancel_requested
    assert await jobs.get(done.id) == done
