"""A namespace at a glance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.counts import Latency, Stats, latency_of
from dataqueue.domain.job import JobStatus
from dataqueue.storage.port import Storage
from tests.storage.counted import counts
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    MINUTE,
    NAMESPACE,
    REACHABLE,
    SECOND,
    claim,
    claim_this,
    given_job,
    new_job,
)

NO_LATENCY = Latency(p50=None, p95=None, p99=None)


async def stats_of(storage: Storage) -> Stats:
    return await storage.tally(NAMESPACE).stats()


async def test_an_empty_namespace_has_empty_stats(storage: Storage) -> None:
    expected = Stats(
        by_status=counts(), by_type={}, oldest_ready_age=None, added=0, completed=0, failed=0, latency=NO_LATENCY
    )
    assert await stats_of(storage) == expected
    assert await storage.tally("nowhere").stats() == expected


async def test_jobs_are_counted_by_status_and_type(storage: Storage) -> None:
    for status in REACHABLE:
        await given_job(storage, job_type=f"t-{status}", status=status)
    stats = await stats_of(storage)
    assert stats.by_status == counts(**{status.value: 1 for status in REACHABLE})
    assert stats.by_type == {f"t-{status}": counts(**{status.value: 1}) for status in REACHABLE}


async def test_the_oldest_ready_job_is_found_whatever_its_type_and_priority(
    storage: Storage, clock: ManualClock
) -> None:
    await given_job(storage, job_type="a", priority=9)
    clock.advance(-MINUTE)
    oldest = await given_job(storage, job_type="b", priority=-9)
    clock.advance(MINUTE)
    await given_job(storage, job_type="b", priority=5)
    await given_job(storage, job_type="b", priority=-9)
    assert (await stats_of(storage)).oldest_ready_age == 60
    clock.advance(SECOND)
    assert (await stats_of(storage)).oldest_ready_age == 61
    await storage.jobs(NAMESPACE).cancel([oldest.id])
    assert (await stats_of(storage)).oldest_ready_age == 1


async def test_a_job_is_ready_since_it_was_retried_and_does_not_hide_one_that_waits_for_longer(
    storage: Storage, clock: ManualClock
) -> None:
    failed = await given_job(storage, job_type="a", status=JobStatus.FAILED)
    clock.advance(HOUR)
    await storage.jobs(NAMESPACE).retry([failed.id])
    clock.advance(SECOND)
    assert (await stats_of(storage)).oldest_ready_age == 1
    await given_job(storage, job_type="a")
    clock.advance(MINUTE)
    await storage.jobs(NAMESPACE).cancel([failed.id])
    await storage.jobs(NAMESPACE).retry([failed.id])
    assert (await stats_of(storage)).oldest_ready_age == 60


async def test_what_cannot_be_claimed_is_not_ready(storage: Storage, clock: ManualClock) -> None:
    await given_job(storage, delay=MINUTE)
    await given_job(storage, status=JobStatus.PROCESSING)
    await given_job(storage, status=JobStatus.FAILED)
    retried = await given_job(storage)
    claimed = await claim_this(storage.jobs(NAMESPACE), retried)
    await storage.jobs(NAMESPACE).fail([claimed.lease], failures=[FOR_NOW])
    await given_job(storage, job_type="paused")
    await storage.job_types(NAMESPACE).pause("paused", paused=True)
    clock.advance(30 * SECOND)
    assert (await stats_of(storage)).oldest_ready_age is None
    await storage.job_types(NAMESPACE).pause("paused", paused=False)
    assert (await stats_of(storage)).oldest_ready_age == 30


async def test_the_last_hour_is_sixty_full_minutes_and_this_one(storage: Storage, clock: ManualClock) -> None:
    for status in REACHABLE:
        await given_job(storage, status=status)
    jobs, retried = storage.jobs(NAMESPACE), await given_job(storage)
    claimed = await claim_this(jobs, retried)
    await jobs.fail([claimed.lease], failures=[FOR_NOW])  # will be tried again: not failed
    for _ in range(2):
        stats = await stats_of(storage)
        assert (stats.added, stats.completed, stats.failed) == (len(REACHABLE) + 1, 1, 1)
        await storage.upkeep.fold_counts(limit=100)
    clock.advance(HOUR + 59 * SECOND)
    assert (await stats_of(storage)).added == len(REACHABLE) + 1
    clock.advance(SECOND)
    stats = await stats_of(storage)
    assert (stats.added, stats.completed, stats.failed, stats.latency) == (0, 0, 0, NO_LATENCY)


async def test_minutes_that_are_over_are_forgotten_by_folding_and_younger_ones_are_not(
    storage: Storage, clock: ManualClock
) -> None:
    await given_job(storage)
    clock.advance(HOUR - MINUTE)
    await given_job(storage)
    await storage.upkeep.fold_counts(limit=100)
    clock.advance(HOUR + 2 * MINUTE)
    await given_job(storage)
    await storage.upkeep.fold_counts(limit=100)
    assert (await stats_of(storage)).added == 1
    clock.advance(-HOUR)
    assert (await stats_of(storage)).added == 2


async def test_what_was_added_by_a_minute_long_past_is_let_go(storage: Storage, clock: ManualClock) -> None:
    await given_job(storage)
    clock.advance(3 * HOUR)
    await storage.upkeep.fold_counts(limit=100)
    clock.advance(-3 * HOUR)
    assert (await stats_of(storage)).added == 0


@pytest.mark.parametrize("milliseconds", [0, 1, 9, 250, 90_061, 86_400_000])
async def test_latency_is_from_when_a_job_might_start_to_its_completion_and_little_off(
    storage: Storage, clock: ManualClock, milliseconds: int
) -> None:
    jobs = storage.jobs(NAMESPACE)
    scheduled, at_once = new_job(job_type="a", delay=HOUR), new_job(job_type="b", run_at=clock.now() - HOUR)
    await jobs.enqueue([[scheduled]])
    clock.advance(HOUR)
    await storage.upkeep.stage(limit=10)
    await jobs.enqueue([[at_once]])
    clock.advance(timedelta(milliseconds=milliseconds))
    for job_type in "ab":
        [job] = await claim(jobs, job_type)
        await jobs.complete([job.lease], outputs=[None])
    latency = (await stats_of(storage)).latency
    expected: Any = pytest.approx(max(milliseconds, 1), rel=0.045)
    # What was asked to have run before it was enqueued counts from then.
    assert latency == Latency(p50=expected, p95=expected, p99=expected)


def test_percentiles_are_by_nearest_rank() -> None:
    middle = {bucket: 2 ** ((bucket + 0.5) / 8) for bucket in (0, 8, 80)}
    assert latency_of({}) == latency_of({3: 0}) == NO_LATENCY
    assert latency_of({80: 1}) == Latency(p50=middle[80], p95=middle[80], p99=middle[80])
    assert latency_of({80: 1, 0: 1}) == Latency(p50=middle[0], p95=middle[80], p99=middle[80])
    assert latency_of({80: 1, 8: 4, 0: 95}) == Latency(p50=middle[0], p95=middle[0], p99=middle[8])
    assert latency_of({80: 2, 8: 4, 0: 94}) == Latency(p50=middle[0], p95=middle[8], p99=middle[80])
