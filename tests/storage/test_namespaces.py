"""A namespace sees and moves nothing of another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Beat, Enqueued, Job, JobStatus, Json, Lease, Reported
from dataqueue.errors import AlreadyExists, IllegalTransition, NotFound
from dataqueue.storage.backend import Backend
from dataqueue.storage.port import JobStore, Storage
from tests.storage.given import (
    FOR_GOOD,
    HOUR,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    REACHABLE,
    SECOND,
    claim,
    given_claimed_job,
    given_job,
    given_job_and_lease,
    new_job,
    told,
)

OTHER = "other"
ALL = JobFilter()
SHARES_IDS = {Backend.POSTGRES}
"""Where a caller's id is taken for every namespace; elsewhere for its own."""


async def given_namespace(storage: Storage, name: str = OTHER) -> JobStore:
    await storage.keys.create(name="k", namespace=name, scopes=frozenset(), digest=name.encode(), prefix="dq_")
    return storage.jobs(name)


async def assert_untouched(storage: Storage, job: Job, events: int) -> None:
    assert await storage.jobs(NAMESPACE).get(job.id) == job
    assert len(await told(storage, job.id)) == events


async def test_a_foreign_job_reads_as_one_that_is_not_there(storage: Storage) -> None:
    foreign = await given_namespace(storage)
    for status in REACHABLE:
        job = await given_job(storage, status=status)
        with pytest.raises(NotFound):
            await foreign.get(job.id)
        with pytest.raises(NotFound):
            await storage.events(OTHER).of_job(job.id, after=0, limit=10)
        assert (await foreign.page(JobFilter(job_types=(job.job_type,)), before=None, limit=10)).jobs == []
        assert await foreign.ended([job.id]) == {job.id}
    assert (await foreign.page(ALL, before=None, limit=10)).jobs == []


async def test_a_foreign_job_can_be_neither_claimed_nor_cancelled_nor_retried(storage: Storage) -> None:
    foreign = await given_namespace(storage)
    for status in REACHABLE:
        job = await given_job(storage, status=status)
        events = len(await told(storage, job.id))
        assert await claim(foreign, job.job_type) == []
        for verb in (foreign.cancel, foreign.retry):
            with pytest.raises(NotFound):
                await verb([job.id])
            await verb([job.id, job.id])
        await assert_untouched(storage, job, events)


async def _heartbeat(foreign: JobStore, lease: Lease) -> bool:
    return await foreign.heartbeat([lease], lease=HOUR) == [Beat.LOST]


async def _complete(foreign: JobStore, lease: Lease) -> bool:
    return await foreign.complete([lease], outputs=[Json("1")]) == [Reported.LOST]


async def _fail(foreign: JobStore, lease: Lease) -> bool:
    return await foreign.fail([lease], failures=[FOR_GOOD]) == [Reported.LOST]


async def _release(foreign: JobStore, lease: Lease) -> bool:
    return await foreign.release([lease]) == [Reported.LOST]


async def _abandon(foreign: JobStore, lease: Lease) -> bool:
    await foreign.abandon([lease])
    return True


@pytest.mark.parametrize("report", [_heartbeat, _complete, _fail, _release, _abandon])
async def test_a_foreign_lease_is_no_lease(
    storage: Storage, report: Callable[[JobStore, Lease], Awaitable[bool]]
) -> None:
    foreign = await given_namespace(storage)
    for status in REACHABLE:
        job, lease = await given_job_and_lease(storage, status=status)
        events = len(await told(storage, job.id))
        assert await report(foreign, lease), f"a {status} job"
        await assert_untouched(storage, job, events)


async def test_the_same_types_are_separate_queues(storage: Storage) -> None:
    foreign, ours = await given_namespace(storage), await given_job(storage, job_type="mail")
    [[theirs]] = await foreign.enqueue([[new_job(job_type="mail", priority=1)]])
    assert [job.id for job in await claim(storage.jobs(NAMESPACE), "mail")] == [ours.id]
    [held] = await claim(foreign, "mail")
    assert (held.id, held.namespace) == (theirs.id, OTHER)


async def test_an_idempotency_key_counts_in_its_namespace_alone(storage: Storage) -> None:
    foreign, _ = await given_namespace(storage), await given_job(storage, idempotency_key="k")
    [[theirs]] = await foreign.enqueue([[new_job(idempotency_key="k")]])
    assert theirs.created
    [[repeat]] = await foreign.enqueue([[new_job(idempotency_key="k")]])
    assert (repeat.id, repeat.created) == (theirs.id, False)


@pytest.mark.parametrize("key", [None, "k"])
async def test_an_id_that_another_namespace_has_is_never_answered_with_its_job(
    storage: Storage, backend: Backend, key: str | None
) -> None:
    foreign = await given_namespace(storage)
    ours = await given_job(storage, idempotency_key="k", status=JobStatus.COMPLETED)
    asked = new_job(id=ours.id, id_is_callers=True, idempotency_key=key)
    if backend in SHARES_IDS:
        with pytest.raises(AlreadyExists):
            await foreign.enqueue([[asked]])
        assert (await foreign.page(ALL, before=None, limit=10)).jobs == []
    else:
        assert await foreign.enqueue([[asked]]) == [[Enqueued(asked.id, JobStatus.PENDING, created=True)]]
        assert (await foreign.get(asked.id)).status is JobStatus.PENDING
    assert await storage.jobs(NAMESPACE).get(ours.id) == ours


async def test_an_enqueue_of_unknown_outcome_does_not_take_a_foreign_job_for_its_own(
    storage: Storage, backend: Backend
) -> None:
    foreign = await given_namespace(storage)
    asked = new_job(id_is_callers=True, job_type="mail")
    await storage.jobs(NAMESPACE).enqueue([[asked]])
    await foreign.enqueue([[new_job(job_type="mail")]])
    if backend in SHARES_IDS:
        with pytest.raises(AlreadyExists):
            await foreign.enqueue([[asked]], again=True)
    else:
        assert await foreign.enqueue([[asked]], again=True) == [[Enqueued(asked.id, JobStatus.PENDING, created=True)]]
        assert len((await foreign.page(ALL, before=None, limit=10)).jobs) == 2


async def test_staging_one_namespace_leaves_the_others(storage: Storage, clock: ManualClock) -> None:
    foreign, ours = await given_namespace(storage), await given_job(storage, delay=SECOND)
    [[theirs]] = await foreign.enqueue([[new_job(delay=SECOND)]])
    clock.advance(SECOND)
    assert (await storage.upkeep.stage(limit=10, namespace=OTHER)).count == 1
    assert (await storage.jobs(NAMESPACE).get(ours.id)).pending_reason == "scheduled"
    assert (await foreign.get(theirs.id)).pending_reason is None
    assert (await storage.upkeep.stage(limit=10)).count == 1


async def test_reclaiming_one_namespace_leaves_the_others(storage: Storage, clock: ManualClock) -> None:
    foreign, ours = await given_namespace(storage), await given_claimed_job(storage)
    await foreign.enqueue([[new_job(job_type="mail")]])
    await claim(foreign, "mail")
    clock.advance(LEASE + SECOND)
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES, namespace=OTHER) == 1
    assert (await storage.jobs(NAMESPACE).get(ours.id)).status is JobStatus.PROCESSING
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 1


async def test_a_dead_letter_stays_in_its_namespace(storage: Storage) -> None:
    foreign = await given_namespace(storage)
    await foreign.enqueue([[new_job(job_type="mail", dead_letter_job_type="dead")]])
    await given_job(storage, job_type="dead", status=JobStatus.CANCELLED)
    [held] = await claim(foreign, "mail")
    await foreign.fail([held.lease], failures=[FOR_GOOD])
    assert await claim(storage.jobs(NAMESPACE), "dead") == []
    assert len(await claim(foreign, "dead")) == 1


async def test_nothing_can_be_enqueued_into_a_namespace_that_is_not_there(storage: Storage) -> None:
    for job in (new_job(), new_job(idempotency_key="k")):
        with pytest.raises(NotFound):
            await storage.jobs("nowhere").enqueue([[job]])


async def test_a_namespace_that_is_not_there_holds_nothing(storage: Storage) -> None:
    nowhere, job = storage.jobs("nowhere"), await given_job(storage)
    for look in (nowhere.get, lambda job_id: storage.events("nowhere").of_job(job_id, after=0, limit=10)):
        with pytest.raises(NotFound):
            await look(job.id)
    assert (await nowhere.page(ALL, before=None, limit=10)).jobs == []
    assert await claim(nowhere, job.job_type) == []
    assert await nowhere.ended([job.id]) == {job.id}


async def test_a_namespace_made_after_somebody_asked_for_it_is_found(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await storage.jobs(OTHER).enqueue([[new_job()]])
    [[answer]] = await (await given_namespace(storage)).enqueue([[new_job()]])
    assert answer.created
    with pytest.raises(IllegalTransition):
        await storage.jobs(OTHER).retry([answer.id])
