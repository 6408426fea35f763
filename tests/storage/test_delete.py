"""Completed, failed or cancelled to gone."""

from __future__ import annotations

import asyncio

import pytest

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus, Json, Reported
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    NAMESPACE,
    claim,
    claim_this,
    events_of,
    given_claimed_job,
    given_job,
    given_job_and_lease,
    new_job,
)

ENDED = [status for status in JobStatus if status.is_terminal]
OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)


@pytest.mark.parametrize("status", ENDED)
async def test_what_has_ended_is_gone_from_everywhere(storage: Storage, status: JobStatus) -> None:
    jobs = storage.jobs(NAMESPACE)
    job, lease = await given_job_and_lease(storage, status=status, tags=("a", "b"), priority=1)
    await jobs.delete([job.id])
    for look in (jobs.get(job.id), events_of(storage, job.id), jobs.delete([job.id])):
        with pytest.raises(NotFound):
            await look
    for matching in (JobFilter(), JobFilter(tags=("a",)), JobFilter(statuses=(status,)), JobFilter(priority=1)):
        assert (await jobs.page(matching, before=None, limit=10)).jobs == []
    assert await jobs.ended([job.id]) == {job.id}
    assert await jobs.complete([lease], outputs=[Json("1")]) == [Reported.LOST]


@pytest.mark.parametrize("status", OPEN)
async def test_what_has_not_ended_cannot_be_deleted(storage: Storage, status: JobStatus) -> None:
    job = await given_job(storage, status=status)
    with pytest.raises(IllegalTransition) as refusal:
        await storage.jobs(NAMESPACE).delete([job.id])
    assert (refusal.value.verb, refusal.value.job_id, refusal.value.status) == ("delete", job.id, status)
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_a_job_of_another_namespace_is_not_there(storage: Storage) -> None:
    job = await given_job(storage, status=JobStatus.FAILED)
    with pytest.raises(NotFound):
        await storage.jobs("elsewhere").delete([job.id])
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_of_several_those_that_have_ended_go_and_the_others_stay(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    ended = [await given_job(storage, status=status, tags=("t",)) for status in ENDED]
    stays = [await given_job(storage, status=status, tags=("t",)) for status in OPEN]
    await jobs.delete([*(job.id for job in stays + ended), new_id()])
    await jobs.delete([])
    assert (await jobs.page(JobFilter(tags=("t",)), before=None, limit=10)).jobs == stays[::-1]


async def test_the_idempotency_key_and_the_id_are_free_again(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    job = await given_job(storage, status=JobStatus.COMPLETED, idempotency_key="key")
    [[repeat]] = await jobs.enqueue([[new_job(idempotency_key="key")]])
    assert (repeat.id, repeat.created) == (job.id, False)
    await jobs.delete([job.id])
    [[again]] = await jobs.enqueue([[new_job(id=job.id, idempotency_key="key", id_is_callers=True)]])
    assert (again.id, again.status, again.created) == (job.id, JobStatus.PENDING, True)


async def test_output_and_history_do_not_come_back_with_the_id(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    held, failed = await given_claimed_job(storage, tags=("t",)), await given_claimed_job(storage)
    await jobs.complete([held.lease], outputs=[Json("17")])
    await jobs.fail([failed.lease], failures=[FOR_GOOD])
    await jobs.delete([held.id, failed.id])
    await jobs.enqueue([[new_job(id=old.id, id_is_callers=True) for old in (held, failed)]])
    for old in (held, failed):
        job = await jobs.get(old.id)
        assert (job.output, job.error_history, job.failure_reason, job.tags) == (None, "[]", None, ())


async def test_a_dead_letter_outlives_the_job_it_was_made_of(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, dead_letter_job_type="grave")
    await jobs.fail([held.lease], failures=[FOR_GOOD])
    await jobs.delete([held.id])
    [dead] = await claim(jobs, "grave")
    assert str(held.id) in dead.payload


async def test_a_delete_and_a_retry_at_once_end_one_way_or_the_other(live_storage: Storage) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    for _ in range(20):
        job = await given_job(live_storage, status=JobStatus.CANCELLED, tags=("t",))
        deleted, retried = await asyncio.gather(jobs.delete([job.id]), jobs.retry([job.id]), return_exceptions=True)
        if deleted is None:
            assert isinstance(retried, NotFound)
            with pytest.raises(NotFound):
                await jobs.get(job.id)
        else:
            assert isinstance(deleted, IllegalTransition)
            assert retried is None
            await claim_this(jobs, job)


async def test_repeats_of_a_key_while_its_job_is_deleted_find_a_job_or_make_one(live_storage: Storage) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    for _ in range(20):
        job = await given_job(live_storage, status=JobStatus.COMPLETED, idempotency_key="key")
        deleting = asyncio.create_task(jobs.delete([job.id]))
        repeats = await asyncio.gather(*(jobs.enqueue([[new_job(idempotency_key="key")]]) for _ in range(4)))
        await deleting
        answers = [answer for [[answer]] in repeats]
        assert sum(answer.created for answer in answers) <= 1
        made = {answer.id for answer in answers if answer.id != job.id}
        assert len(made) <= 1
        for job_id in made:
            await jobs.cancel([job_id])
            await jobs.delete([job_id])
