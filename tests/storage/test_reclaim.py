"""Processing to pending, taken from a worker that fell silent."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, FailureReason, JobStatus, Reported
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    SECOND,
    a_type,
    claim,
    claim_this,
    data_of_last,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job,
    told,
)


async def reclaim(storage: Storage, *, limit: int = 100, max_crashes: int = MAX_CRASHES) -> int:
    return await storage.upkeep.reclaim(limit=limit, max_crashes=max_crashes)


async def given_crashes(storage: Storage, clock: ManualClock, held: ClaimedJob, count: int) -> ClaimedJob:
    """The job in a worker's hands again after so many crashes."""
    for _ in range(count):
        clock.advance(LEASE + SECOND)
        assert await reclaim(storage) == 1
        held = await claim_this(storage.jobs(NAMESPACE), held)
    return held


async def test_a_job_whose_lease_expired_is_ready_with_its_attempt_given_back_and_the_crash_counted(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    assert await reclaim(storage) == 1
    job = await jobs.get(held.id)
    assert (job.status, job.pending_reason, job.attempts, job.crashes) == (JobStatus.PENDING, None, 0, 1)
    assert (job.locked_by, job.locked_at, job.lease_expires_at) == (None, None, None)
    assert (job.updated_at, job.error_history, job.failure_reason) == (clock.now(), "[]", None)
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.data) == (EventName.RECLAIMED, EMPTY_OBJECT)
    again = await claim_this(jobs, held)
    assert (again.attempts, again.crashes) == (1, 1)
    assert again.invocation > held.invocation


async def test_a_lease_is_good_until_its_last_instant(storage: Storage, clock: ManualClock) -> None:
    await given_claimed_job(storage)
    clock.advance(LEASE)
    assert await reclaim(storage) == 0
    clock.advance(timedelta(microseconds=1))
    assert await reclaim(storage) == 1
    assert await reclaim(storage) == 0


async def test_only_jobs_whose_own_lease_expired_are_taken(storage: Storage, clock: ManualClock) -> None:
    jobs = storage.jobs(NAMESPACE)
    silent, alive = await given_claimed_jobs(storage, 2)
    clock.advance(LEASE)
    await jobs.heartbeat([alive.lease], lease=LEASE)
    clock.advance(SECOND)
    assert await reclaim(storage) == 1
    assert (await jobs.get(silent.id)).status is JobStatus.PENDING
    assert (await jobs.get(alive.id)).status is JobStatus.PROCESSING


async def test_a_reclaimed_job_keeps_its_place(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    await given_job(storage, job_type=held.job_type)
    clock.advance(LEASE + SECOND)
    await reclaim(storage)
    assert (await claim(storage.jobs(NAMESPACE), held.job_type))[0].id == held.id


async def test_three_crashes_are_forgiven_and_the_fourth_fails_the_job_as_crashed(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_claimed_job(storage, max_attempts=1)
    held = await given_crashes(storage, clock, job, 3)
    assert (held.crashes, held.attempts) == (3, 1)
    clock.advance(LEASE + SECOND)
    assert await reclaim(storage) == 1

    failed = await jobs.get(job.id)
    assert (failed.status, failed.failure_reason, failed.crashes) == (JobStatus.FAILED, FailureReason.CRASHED, 4)
    assert failed.attempts == 0
    assert failed.completed_at == failed.last_failed_at == failed.updated_at == clock.now()
    assert (failed.locked_by, failed.locked_at, failed.lease_expires_at) == (None, None, None)
    [entry] = json.loads(failed.error_history)
    assert (entry["attempt"], entry["at"]) == (1, clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z"))


async def test_the_fourth_crash_is_told_as_a_failure_and_not_as_reclaimed(storage: Storage, clock: ManualClock) -> None:
    held = await given_crashes(storage, clock, await given_claimed_job(storage), 3)
    clock.advance(LEASE + SECOND)
    await reclaim(storage)
    assert (await told(storage, held.id)).count(EventName.RECLAIMED) == 3
    assert (await told(storage, held.id))[-1] is EventName.FAILED
    data = await data_of_last(storage, held.id)
    assert (data["reason"], data["will_retry"], data["next_attempt_at"]) == ("crashed", False, None)
    assert data["attempt"] == 1


async def test_a_worker_that_comes_back_after_the_fourth_crash_changes_nothing(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    await reclaim(storage, max_crashes=0)
    failed = await jobs.get(held.id)
    assert await jobs.complete([held.lease], outputs=[None]) == [Reported.LOST]
    assert await jobs.fail([held.lease], failures=[FOR_GOOD]) == [Reported.LOST]
    assert await jobs.release([held.lease]) == [Reported.LOST]
    assert await jobs.get(held.id) == failed


async def test_a_crashed_job_leaves_a_dead_letter_as_any_failure(storage: Storage, clock: ManualClock) -> None:
    jobs, dead_type = storage.jobs(NAMESPACE), a_type()
    held = await given_claimed_job(storage, dead_letter_job_type=dead_type)
    clock.advance(LEASE + SECOND)
    await reclaim(storage, max_crashes=0)
    [letter] = await claim(jobs, dead_type)
    assert (await jobs.get(held.id)).dead_letter_job_id == letter.id
    payload = json.loads(letter.payload)
    assert payload["original_job"]["id"] == str(held.id)
    assert payload["failure"]["reason"] == "crashed"


async def test_with_no_crash_allowed_the_first_is_final(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    await reclaim(storage, max_crashes=0)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.status, job.crashes) == (JobStatus.FAILED, 1)


async def test_a_job_whose_cancel_was_requested_ends_cancelled_and_not_as_a_crash(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    clock.advance(LEASE + SECOND)
    assert await reclaim(storage, max_crashes=0) == 1
    job = await jobs.get(held.id)
    assert (job.status, job.crashes, job.cancel_requested) == (JobStatus.CANCELLED, 0, False)
    assert job.last_cancelled_at == clock.now()
    assert (await told(storage, held.id))[-1] is EventName.CANCELLED
    assert await jobs.release([held.lease]) == [Reported.LOST]


async def test_no_more_are_taken_than_asked_for(storage: Storage, clock: ManualClock) -> None:
    await given_claimed_jobs(storage, 5)
    clock.advance(LEASE + SECOND)
    assert [await reclaim(storage, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_any_number_of_reclaimers_take_each_job_once(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_jobs(storage, 40)
    clock.advance(LEASE + SECOND)
    counts = await asyncio.gather(*(reclaim(storage, limit=7) for _ in range(10)))
    counts.append(await reclaim(storage))
    assert sum(counts) == len(held)
    jobs = [await storage.jobs(NAMESPACE).get(job.id) for job in held]
    assert {job.crashes for job in jobs} == {1}


async def test_reclaiming_and_reporting_at_once_count_one_of_the_two(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_jobs(storage, 30)
    clock.advance(LEASE + SECOND)
    taking = asyncio.create_task(reclaim(storage))
    answers = await asyncio.gather(*(jobs.complete([job.lease], outputs=[None]) for job in held))
    assert await taking + answers.count([Reported.OK]) == len(held)
    for job in held:
        after = await jobs.get(job.id)
        assert (after.status, after.crashes) in [(JobStatus.COMPLETED, 0), (JobStatus.PENDING, 1)]
        assert len(await told(storage, job.id)) == 3
