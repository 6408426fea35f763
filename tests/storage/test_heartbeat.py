"""A lease is extended, or its holder learns that it has none."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import Beat, JobStatus, Lease, Reported
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    HOUR,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    SECOND,
    claim,
    given_claimed_job,
    given_claimed_jobs,
    given_job_and_lease,
    told,
)


async def test_a_heartbeat_extends_the_lease_from_now(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    before = await jobs.get(held.id)
    clock.advance(10 * SECOND)
    assert await jobs.heartbeat([held.lease], lease=timedelta(seconds=12.25)) == [Beat.OK]
    job = await jobs.get(held.id)
    assert job.lease_expires_at == clock.now() + timedelta(seconds=12.25)
    assert (job.locked_at, job.locked_by) == (before.locked_at, before.locked_by)


async def test_a_heartbeat_may_also_shorten_a_lease(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    await storage.jobs(NAMESPACE).heartbeat([held.lease], lease=SECOND)
    assert (await storage.jobs(NAMESPACE).get(held.id)).lease_expires_at == clock.now() + SECOND


async def test_a_plain_heartbeat_is_no_event_and_no_update(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    before = await jobs.get(held.id)
    clock.advance(SECOND)
    await jobs.heartbeat([held.lease], lease=LEASE)
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING]
    assert (await jobs.get(held.id)).updated_at == before.updated_at


async def test_a_job_that_is_kept_alive_is_never_reclaimed(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    for _ in range(5):
        clock.advance(LEASE - SECOND)
        assert await jobs.heartbeat([held.lease], lease=LEASE) == [Beat.OK]
        assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 0


async def test_expiry_alone_loses_nothing(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(HOUR)
    assert await jobs.heartbeat([held.lease], lease=LEASE) == [Beat.OK]
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 0
    assert await jobs.complete([held.lease], outputs=[None]) == [Reported.OK]


async def test_answers_come_in_the_order_of_the_leases(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    kept, doomed, also_kept = await given_claimed_jobs(storage, 3)
    await jobs.cancel([doomed.id])
    stale = Lease(kept.id, kept.invocation + 1)
    ended, ended_lease = await given_job_and_lease(storage, status=JobStatus.COMPLETED)
    leases = [also_kept.lease, doomed.lease, Lease(new_id(), 1), stale, kept.lease, ended_lease]
    assert await jobs.heartbeat(leases, lease=LEASE) == [
        Beat.OK,
        Beat.CANCEL,
        Beat.LOST,
        Beat.LOST,
        Beat.OK,
        Beat.LOST,
    ]
    assert await jobs.get(ended.id) == ended


async def test_one_stale_number_among_good_ones_does_not_spoil_the_jobs_own(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    stale = Lease(held.id, held.invocation + 1)
    assert await storage.jobs(NAMESPACE).heartbeat([stale, held.lease], lease=LEASE) == [Beat.LOST, Beat.OK]


async def test_without_leases_there_is_nothing_to_extend(storage: Storage) -> None:
    assert await storage.jobs(NAMESPACE).heartbeat([], lease=LEASE) == []


async def test_the_heartbeat_that_says_cancel_has_cancelled(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    clock.advance(SECOND)
    assert await jobs.heartbeat([held.lease], lease=LEASE) == [Beat.CANCEL]
    job = await jobs.get(held.id)
    assert (job.status, job.cancel_requested, job.locked_by) == (JobStatus.CANCELLED, False, None)
    assert job.last_cancelled_at == job.completed_at == job.updated_at == clock.now()
    assert (await told(storage, held.id))[-1] is EventName.CANCELLED


async def test_after_a_heartbeat_has_cancelled_every_report_is_lost(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    await jobs.heartbeat([held.lease], lease=LEASE)
    cancelled, events = await jobs.get(held.id), await told(storage, held.id)
    assert await jobs.heartbeat([held.lease], lease=LEASE) == [Beat.LOST]
    assert await jobs.complete([held.lease], outputs=[None]) == [Reported.LOST]
    assert await jobs.fail([held.lease], failures=[FOR_GOOD]) == [Reported.LOST]
    assert await jobs.release([held.lease]) == [Reported.LOST]
    assert await jobs.get(held.id) == cancelled
    assert await told(storage, held.id) == events


async def test_a_lease_that_was_reclaimed_is_lost_also_when_the_job_is_held_again(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, late = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    assert await jobs.heartbeat([late.lease], lease=HOUR) == [Beat.LOST]
    [again] = await claim(jobs, late.job_type, worker_id="bob")
    assert await jobs.heartbeat([late.lease, again.lease], lease=LEASE) == [Beat.LOST, Beat.OK]
    assert (await jobs.get(late.id)).lease_expires_at == clock.now() + LEASE


async def test_heartbeats_that_name_jobs_in_any_order_do_not_block_each_other(storage: Storage) -> None:
    jobs, chance = storage.jobs(NAMESPACE), random.Random(7)
    leases = [held.lease for held in await given_claimed_jobs(storage, 200)]

    async def beat() -> None:
        for _ in range(3):
            shuffled = chance.sample(leases, len(leases))
            beats = await jobs.heartbeat(shuffled, lease=LEASE)
            # What another beat is writing at this moment is told to be busy, never to be lost.
            assert set(beats) <= {Beat.OK, Beat.BUSY}

    await asyncio.gather(*(beat() for _ in range(8)))
    assert await jobs.heartbeat(leases, lease=LEASE) == [Beat.OK] * len(leases)


async def test_a_lease_that_was_abandoned_is_reclaimed_without_waiting(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    dead, alive = await given_claimed_jobs(storage, 2)
    await jobs.abandon([dead.lease])
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 1
    job = await jobs.get(dead.id)
    assert (job.status, job.crashes, job.attempts) == (JobStatus.PENDING, 1, 0)
    assert (await jobs.get(alive.id)).status is JobStatus.PROCESSING


async def test_abandoning_a_lease_that_is_not_held_takes_the_job_from_nobody(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.abandon([Lease(held.id, held.invocation - 1), Lease(new_id(), 1)])
    await jobs.abandon([])
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 0


async def test_abandoning_a_job_whose_cancel_was_requested_ends_it_cancelled(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.cancel([held.id])
    await jobs.abandon([held.lease])
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    job = await jobs.get(held.id)
    assert (job.status, job.crashes) == (JobStatus.CANCELLED, 0)
