"""The storage's clock decides, and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.storage.answers import Staged
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    LEASE,
    MAX_CRASHES,
    MINUTE,
    NAMESPACE,
    SECOND,
    claim_this,
    events_of,
    given_claimed_job,
    given_job,
)


@pytest.mark.parametrize("off", [-HOUR, HOUR], ids=["an hour behind", "an hour ahead"])
async def test_a_storage_whose_clock_differs_from_ours_goes_by_its_own(
    storage: Storage, clock: ManualClock, off: timedelta
) -> None:
    clock.advance(datetime.now(UTC) + off - clock.now())
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    scheduled = await given_job(storage, delay=MINUTE)
    assert held.created_at == clock.now()
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 0
    assert await storage.upkeep.stage(limit=10) == Staged(0, 60.0)

    clock.advance(LEASE + SECOND)
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 1
    again = await claim_this(jobs, held)
    await jobs.fail([again.lease], failures=[FOR_NOW])
    assert (await jobs.get(held.id)).next_attempt_at == clock.now() + MINUTE

    clock.advance(MINUTE)
    assert (await storage.upkeep.stage(limit=10)).count == 2
    await claim_this(jobs, scheduled)
    assert (await events_of(storage, scheduled.id))[-1].at == clock.now()


async def test_in_production_the_storage_reads_its_own_clock(live_storage: Storage) -> None:
    held = await given_claimed_job(live_storage)
    later = await given_job(live_storage, delay=HOUR)
    job = await live_storage.jobs(NAMESPACE).get(held.id)
    assert job.locked_at is not None
    assert job.lease_expires_at == job.locked_at + LEASE
    assert later.run_at == later.created_at + HOUR
    assert held.created_at <= job.locked_at <= later.created_at
    assert abs(held.created_at - datetime.now(UTC)) < MINUTE
    staged = await live_storage.upkeep.stage(limit=10)
    assert staged.count == 0
    assert staged.next_due_in == pytest.approx(3600, abs=60)


async def test_the_events_of_a_job_are_in_the_order_of_their_instants(live_storage: Storage) -> None:
    jobs, held = live_storage.jobs(NAMESPACE), await given_claimed_job(live_storage)
    await jobs.complete([held.lease], outputs=[None])
    instants = [event.at for event in await events_of(live_storage, held.id)]
    assert instants == sorted(instants)
