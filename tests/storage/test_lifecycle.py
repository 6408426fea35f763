"""Every verb from every status, against the one table of the lifecycle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, Failure, Job, JobStatus, Lease, NewJob
from dataqueue.domain.lifecycle import TRANSITIONS, Transition, Verb, allows
from dataqueue.errors import AlreadyExists
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_GOOD,
    FOR_NOW,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    REACHABLE,
    SECOND,
    claim,
    given_claimed_job,
    given_job,
    given_job_and_lease,
    told,
)
from tests.storage.verbs import ON_ONE_THAT_IS_THERE, attempt


@pytest.mark.parametrize("status", REACHABLE)
@pytest.mark.parametrize("verb", ON_ONE_THAT_IS_THERE)
async def test_a_verb_moves_a_job_exactly_where_the_table_says_and_otherwise_changes_nothing(
    storage: Storage, clock: ManualClock, verb: Verb, status: JobStatus
) -> None:
    job, lease = await given_job_and_lease(storage, status=status)
    await attempt(storage, clock, verb, job, lease)


@pytest.mark.parametrize("status", REACHABLE)
async def test_enqueueing_under_the_id_of_a_job_that_is_there_changes_nothing(
    storage: Storage, status: JobStatus
) -> None:
    job = await given_job(storage, status=status)
    before = await told(storage, job.id)
    with pytest.raises(AlreadyExists):
        await storage.jobs(NAMESPACE).enqueue([[NewJob(id=job.id, job_type="other", id_is_callers=True)]])
    assert await storage.jobs(NAMESPACE).get(job.id) == job
    assert await told(storage, job.id) == before


async def _enqueue(storage: Storage, _: ManualClock) -> Job:
    return await given_job(storage)


async def _claim(storage: Storage, _: ManualClock) -> Job:
    return await given_job(storage, status=JobStatus.PROCESSING)


async def _complete(storage: Storage, _: ManualClock) -> Job:
    return await given_job(storage, status=JobStatus.COMPLETED)


def _fail(failure: Failure, *, cancelled: bool = False) -> Callable[[Storage, ManualClock], Awaitable[Job]]:
    async def arrange(storage: Storage, _: ManualClock) -> Job:
        jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
        if cancelled:
            await jobs.cancel([held.id])
        await jobs.fail([held.lease], failures=[failure])
        return await jobs.get(held.id)

    return arrange


def _release(*, cancelled: bool) -> Callable[[Storage, ManualClock], Awaitable[Job]]:
    async def arrange(storage: Storage, _: ManualClock) -> Job:
        jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
        if cancelled:
            await jobs.cancel([held.id])
        await jobs.release([held.lease])
        return await jobs.get(held.id)

    return arrange


def _reclaim(
    *, max_crashes: int = MAX_CRASHES, cancelled: bool = False
) -> Callable[[Storage, ManualClock], Awaitable[Job]]:
    async def arrange(storage: Storage, clock: ManualClock) -> Job:
        jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
        if cancelled:
            await jobs.cancel([held.id])
        clock.advance(LEASE + SECOND)
        assert await storage.upkeep.reclaim(limit=10, max_crashes=max_crashes) == 1
        return await jobs.get(held.id)

    return arrange


def _cancel(status: JobStatus) -> Callable[[Storage, ManualClock], Awaitable[Job]]:
    async def arrange(storage: Storage, _: ManualClock) -> Job:
        job = await given_job(storage, status=status)
        await storage.jobs(NAMESPACE).cancel([job.id])
        return await storage.jobs(NAMESPACE).get(job.id)

    return arrange


async def _retry(storage: Storage, _: ManualClock) -> Job:
    job = await given_job(storage, status=JobStatus.FAILED)
    await storage.jobs(NAMESPACE).retry([job.id])
    return await storage.jobs(NAMESPACE).get(job.id)


async def _edit(storage: Storage, _: ManualClock) -> Job:
    job = await given_job(storage)
    await storage.jobs(NAMESPACE).edit([job.id], JobEdit(priority=1))
    return await storage.jobs(NAMESPACE).get(job.id)


LEADING_TO = {
    (Verb.ENQUEUE, JobStatus.PENDING): _enqueue,
    (Verb.CLAIM, JobStatus.PROCESSING): _claim,
    (Verb.COMPLETE, JobStatus.COMPLETED): _complete,
    (Verb.FAIL, JobStatus.PENDING): _fail(FOR_NOW),
    (Verb.FAIL, JobStatus.FAILED): _fail(FOR_GOOD),
    (Verb.FAIL, JobStatus.CANCELLED): _fail(FOR_NOW, cancelled=True),
    (Verb.RELEASE, JobStatus.PENDING): _release(cancelled=False),
    (Verb.RELEASE, JobStatus.CANCELLED): _release(cancelled=True),
    (Verb.RECLAIM, JobStatus.PENDING): _reclaim(),
    (Verb.RECLAIM, JobStatus.FAILED): _reclaim(max_crashes=0),
    (Verb.RECLAIM, JobStatus.CANCELLED): _reclaim(cancelled=True),
    (Verb.CANCEL, JobStatus.CANCELLED): _cancel(JobStatus.PENDING),
    (Verb.CANCEL, JobStatus.PROCESSING): _cancel(JobStatus.PROCESSING),
    (Verb.RETRY, JobStatus.PENDING): _retry,
    (Verb.EDIT, JobStatus.PENDING): _edit,
}
# Of a job that is gone there is nothing to see; the verb that does it is tried from every status above.
MOVES = [(verb, move.to, move) for verb in Verb for move in TRANSITIONS[verb] if move.to is not None]


@pytest.mark.parametrize(
    ("verb", "to", "move"), MOVES, ids=lambda value: None if isinstance(value, Transition) else value
)
async def test_every_move_of_the_table_can_be_made_and_is_told_by_its_event(
    storage: Storage, clock: ManualClock, verb: Verb, to: JobStatus, move: Transition
) -> None:
    job = await LEADING_TO[verb, to](storage, clock)
    assert job.status is to
    last = (await told(storage, job.id))[-1]
    assert last is (move.event or EventName.PROCESSING)


def test_each_arranged_move_is_one_of_the_table() -> None:
    assert set(LEADING_TO) == {(verb, to) for verb, to, _ in MOVES}


@pytest.mark.parametrize("status", REACHABLE)
async def test_leaving_processing_leaves_no_trace_of_the_worker(storage: Storage, status: JobStatus) -> None:
    job = await given_job(storage, status=status)
    held = status is JobStatus.PROCESSING
    traces = (job.locked_by, job.locked_at, job.lease_expires_at)
    assert all((trace is not None) is held for trace in traces)


async def test_a_job_carries_its_whole_life_until_it_is_done(storage: Storage, clock: ManualClock) -> None:
    jobs, first = storage.jobs(NAMESPACE), await given_claimed_job(storage, max_attempts=2)
    began = clock.now()
    clock.advance(SECOND)
    await jobs.fail([first.lease], failures=[replace(FOR_NOW, retry_after=timedelta())])
    [second] = await claim(jobs, first.job_type)
    await jobs.release([second.lease])
    [third] = await claim(jobs, first.job_type)
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    [fourth] = await claim(jobs, first.job_type)
    await jobs.fail([fourth.lease], failures=[FOR_NOW])
    await jobs.retry([first.id])
    [fifth] = await claim(jobs, first.job_type)
    clock.advance(SECOND)
    await jobs.complete([fifth.lease], outputs=[EMPTY_OBJECT])

    assert [held.invocation for held in (first, second, third, fourth, fifth)] == [1, 2, 3, 5, 6]
    assert [held.attempts for held in (first, second, third, fourth, fifth)] == [1, 2, 2, 2, 3]
    job = await jobs.get(first.id)
    assert (job.status, job.attempts, job.max_attempts, job.crashes) == (JobStatus.COMPLETED, 3, 3, 0)
    assert (job.started_at, job.completed_at) == (began, clock.now())
    assert await told(storage, job.id) == [
        EventName.ADDED,
        EventName.PROCESSING,
        EventName.FAILED,
        EventName.PROCESSING,
        EventName.RELEASED,
        EventName.PROCESSING,
        EventName.RECLAIMED,
        EventName.PROCESSING,
        EventName.FAILED,
        EventName.RETRIED,
        EventName.PROCESSING,
        EventName.COMPLETED,
    ]


def test_what_has_ended_is_moved_by_nothing_but_a_retry_and_a_delete() -> None:
    leaving = {verb for verb in Verb for status in JobStatus if status.is_terminal and allows(verb, status)}
    assert leaving == {Verb.RETRY, Verb.DELETE}


async def test_a_lease_that_nobody_was_given_moves_nothing(storage: Storage) -> None:
    job = await given_job(storage, status=JobStatus.PROCESSING)
    jobs, events = storage.jobs(NAMESPACE), await told(storage, job.id)
    for invocation in (0, 2, 2**31 - 1):
        await jobs.complete([Lease(job.id, invocation)], outputs=[None])
        await jobs.fail([Lease(job.id, invocation)], failures=[FOR_NOW])
        await jobs.release([Lease(job.id, invocation)])
        await jobs.abandon([Lease(job.id, invocation)])
        await jobs.heartbeat([Lease(job.id, invocation)], lease=LEASE * 2)
    assert await jobs.get(job.id) == job
    assert await told(storage, job.id) == events
