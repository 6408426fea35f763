"""What has ended goes when it has been kept long enough, and not before."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Job, JobStatus, Json, NewJob
from dataqueue.domain.retention import Retention
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.storage.counted import assert_what_was_counted_is_there, counts
from tests.storage.given import (
    FOR_GOOD,
    NAMESPACE,
    REACHABLE,
    SECOND,
    claim,
    claim_this,
    events_of,
    given_job,
    new_job,
)

DAY = timedelta(days=1)
KEPT = Retention(completed=DAY, failed=2 * DAY, cancelled=3 * DAY)
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
GONE_AT_ONCE = Retention(completed=timedelta(0), failed=timedelta(0), cancelled=timedelta(0))


async def there(storage: Storage, *jobs: Job | NewJob, namespace: str = NAMESPACE) -> list[bool]:
    listed = {job.id for job in (await storage.jobs(namespace).page(JobFilter(), before=None, limit=1000)).jobs}
    found = []
    for job in jobs:
        try:
            assert (await storage.jobs(namespace).get(job.id)).id in listed
            found.append(True)
        except NotFound:
            assert job.id not in listed
            found.append(False)
    return found


async def test_each_status_is_kept_for_as_long_as_is_said_of_it(storage: Storage, clock: ManualClock) -> None:
    jobs = [await given_job(storage, status=status) for status in ENDED]
    for gone in range(3):
        clock.advance(DAY)
        assert (await storage.upkeep.prune(KEPT, limit=10)).count == 0
        clock.advance(SECOND)
        assert (await storage.upkeep.prune(KEPT, limit=10)).count == 1
        clock.advance(-SECOND)
        assert await there(storage, *jobs) == [False] * (gone + 1) + [True] * (2 - gone)
    assert (await storage.tally(NAMESPACE).stats()).by_status == counts()


async def test_what_has_not_ended_stays_however_old(storage: Storage, clock: ManualClock) -> None:
    jobs = [await given_job(storage, status=status) for status in REACHABLE if status not in ENDED]
    jobs += [await given_job(storage, delay=1000 * DAY)]
    clock.advance(500 * DAY)
    assert (await storage.upkeep.prune(GONE_AT_ONCE, limit=10)).count == 0
    assert await there(storage, *jobs) == [True] * len(jobs)


async def test_it_is_the_end_that_counts_and_not_when_a_job_was_added(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage)
    clock.advance(30 * DAY)
    claimed = await claim_this(storage.jobs(NAMESPACE), job)
    await storage.jobs(NAMESPACE).complete([claimed.lease], outputs=[None])
    clock.advance(DAY)
    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 0
    clock.advance(SECOND)
    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 1


async def test_a_job_that_was_retried_counts_from_its_new_end(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, status=JobStatus.FAILED)
    clock.advance(3 * DAY)
    await jobs.retry([job.id])
    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 0
    claimed = await claim_this(jobs, job)
    await jobs.fail([claimed.lease], failures=[FOR_GOOD])
    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 0
    assert await there(storage, job) == [True]


async def test_a_job_goes_with_its_key_its_tags_and_its_output_but_what_was_told_of_it_is_kept(
    storage: Storage, clock: ManualClock
) -> None:
    jobs = storage.jobs(NAMESPACE)
    job = new_job(tags=("x",), idempotency_key="k")
    await jobs.enqueue([[job]])
    claimed = await claim_this(jobs, job)
    await jobs.complete([claimed.lease], outputs=[Json('"done"')])
    clock.advance(DAY + SECOND)
    again = new_job(idempotency_key="k")
    [[found]] = await jobs.enqueue([[again]])
    assert (found.id, found.created) == (job.id, False)

    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 1
    with pytest.raises(NotFound):
        await events_of(storage, job.id)
    with pytest.raises(NotFound):
        await storage.tally(NAMESPACE).tag("x")
    assert (await jobs.page(JobFilter(tags=("x",)), before=None, limit=10)).jobs == []
    [[made]] = await jobs.enqueue([[again]])
    assert (made.id, made.created) == (again.id, True)
    assert await storage.upkeep.prune_events(keep=365 * DAY) == 0


async def test_an_id_that_is_free_again_makes_a_job_without_a_past(storage: Storage, clock: ManualClock) -> None:
    jobs, job = storage.jobs(NAMESPACE), NewJob(id=new_id(), job_type="a", tags=("x",), id_is_callers=True)
    for tags in (("x",), ("y",)):
        [[made]] = await jobs.enqueue([[NewJob(id=job.id, job_type="a", tags=tags, id_is_callers=True)]])
        assert made.created
        claimed = await claim_this(jobs, job)
        await jobs.complete([claimed.lease], outputs=[Json("1") if tags == ("x",) else None])
        read = await jobs.get(job.id)
        assert (read.output, read.tags) == ("1" if tags == ("x",) else None, tags)
        clock.advance(DAY + SECOND)
        assert (await storage.upkeep.prune(KEPT, limit=10)).count == 1


async def test_no_more_go_at_once_than_asked_for_and_the_oldest_go_first(storage: Storage, clock: ManualClock) -> None:
    jobs = [await given_job(storage, status=JobStatus.COMPLETED) for _ in range(7)]
    clock.advance(DAY + SECOND)
    for left in (4, 1, 0):
        assert (await storage.upkeep.prune(KEPT, limit=3)).count == (3 if left else 1)
        assert await there(storage, *jobs) == [False] * (7 - left) + [True] * left
    assert (await storage.upkeep.prune(KEPT, limit=3)).count == 0


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_old_jobs_that_ended_lately_do_not_stand_in_the_way(
    storage: Storage, clock: ManualClock, limit: int
) -> None:
    jobs = storage.jobs(NAMESPACE)
    lately = [new_job(job_type="late") for _ in range(30)]
    await jobs.enqueue([lately])
    clock.advance(SECOND)
    early = [new_job(job_type="early") for _ in range(12)]
    await jobs.enqueue([early])
    for job in await claim(jobs, "early"):
        await jobs.complete([job.lease], outputs=[None])
    clock.advance(2 * DAY)
    leases = [job.lease for job in await claim(jobs, "late")]
    await jobs.complete(leases, outputs=[None] * len(leases))
    removed = 0
    for _ in range(12):
        removed += (await storage.upkeep.prune(KEPT, limit=limit)).count
    assert removed == 12
    assert await there(storage, *early, *lately) == [False] * 12 + [True] * 30
    clock.advance(DAY + SECOND)
    while (await storage.upkeep.prune(KEPT, limit=limit)).count:
        pass
    assert await there(storage, *lately) == [False] * 30


async def test_a_walk_that_stopped_half_way_begins_again_when_it_has_come_to_the_end(
    storage: Storage, clock: ManualClock
) -> None:
    first, *others = [await given_job(storage, status=JobStatus.COMPLETED, job_type="a") for _ in range(5)]
    jobs = storage.jobs(NAMESPACE)
    waiting = [await given_job(storage, delay=SECOND) for _ in range(2)]
    clock.advance(DAY + SECOND)
    assert (await storage.upkeep.prune(KEPT, limit=2)).count == 2
    # Ends only now, although it was added before where the walk has got to.
    await jobs.cancel([job.id for job in waiting])
    clock.advance(3 * DAY + SECOND)
    removed = [(await storage.upkeep.prune(KEPT, limit=2)).count for _ in range(4)]
    assert sum(removed) == 5
    assert await there(storage, first, *others, *waiting) == [False] * 7


async def test_one_namespace_can_be_pruned_alone_and_all_together(storage: Storage, clock: ManualClock) -> None:
    stores = {}
    for name in ("n1", "n2", "n3"):
        await storage.keys.create(name="k", namespace=name, scopes=frozenset(), digest=name.encode(), prefix="dq_")
        stores[name] = [new_job() for _ in range(3)]
        await storage.jobs(name).enqueue([stores[name]])
        await storage.jobs(name).cancel([job.id for job in stores[name]])
    clock.advance(3 * DAY + SECOND)
    assert (await storage.upkeep.prune(KEPT, limit=100, namespace="n2")).count == 3
    assert (await storage.upkeep.prune(KEPT, limit=100, namespace="nowhere")).count == 0
    assert await there(storage, *stores["n1"], namespace="n1") == [True] * 3
    assert [(await storage.upkeep.prune(KEPT, limit=4)).count for _ in range(3)] == [4, 2, 0]


async def test_many_may_prune_while_jobs_are_retried_and_each_job_goes_once(
    storage_url: str, live_storage: Storage
) -> None:
    jobs, job_type = live_storage.jobs(NAMESPACE), "a"
    new = [new_job(job_type=job_type, tags=("x", f"t{n % 3}")) for n in range(200)]
    await jobs.enqueue([new])
    await jobs.cancel([job.id for job in new])
    others = [open_storage(storage_url) for _ in range(3)]

    async def prune(storage: Storage) -> int:
        return sum([(await storage.upkeep.prune(GONE_AT_ONCE, limit=15)).count for _ in range(25)])

    async def retry() -> None:
        for start in range(0, 200, 10):
            await jobs.retry([job.id for job in new[start : start + 5]])

    removed, _ = await asyncio.gather(asyncio.gather(*map(prune, [live_storage, *others])), retry())
    left = (await live_storage.tally(NAMESPACE).stats()).by_status
    assert sum(removed) == 200 - sum(left.values())
    assert left == counts(pending=left[JobStatus.PENDING])
    await assert_what_was_counted_is_there(live_storage, NAMESPACE)
    for other in others:
        await other.close()


async def test_events_older_than_they_are_kept_go_by_whole_days(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage)
    clock.advance(2 * DAY)
    later = await given_job(storage)
    assert len(await events_of(storage, job.id)) == 1
    assert await storage.upkeep.prune_events(keep=2 * DAY) == 0
    clock.advance(DAY)
    assert await storage.upkeep.prune_events(keep=2 * DAY) >= 1
    assert await events_of(storage, job.id) == []
    assert len(await events_of(storage, later.id)) == 1
    assert await storage.upkeep.prune_events(keep=2 * DAY) == 0
