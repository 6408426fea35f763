"""Every verb from every status, against the one table of the lifecycle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, Failure, Job, JobStatus, Json, Lease, NewJob, Note
from dataqueue.domain.lifecycle import TRANSITIONS, Verb, allows
from dataqueue.domain.steps import Wait
from dataqueue.errors import AlreadyExists
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    AN_HOUR,
    FOR_GOOD,
    FOR_NOW,
    HOUR,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    REACHABLE,
    SECOND,
    a_wait_for,
    claim,
    given_claimed_job,
    given_job,
    given_job_and_lease,
    told,
)
from tests.storage.verbs import ON_ONE_THAT_IS_THERE, attempt

PENDING, PROCESSING, WAITING = JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.WAITING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED


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


def _suspend(*waits: Wait, cancelled: bool = False) -> Callable[[Storage, ManualClock], Awaitable[Job]]:
    async def arrange(storage: Storage, _: ManualClock) -> Job:
        jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
        if cancelled:
            await jobs.cancel([held.id])
        await jobs.suspend([held.lease], waits=[waits])
        return await jobs.get(held.id)

    return arrange


async def _wake(storage: Storage, clock: ManualClock) -> Job:
    job = await given_job(storage, status=JobStatus.WAITING)
    clock.advance(HOUR)
    await storage.upkeep.stage(limit=10)
    return await storage.jobs(NAMESPACE).get(job.id)


def _note(note: Note) -> Callable[[Storage, ManualClock], Awaitable[Job]]:
    async def arrange(storage: Storage, _: ManualClock) -> Job:
        jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
        await jobs.note([held.lease], notes=[note])
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


LEADING_TO: Final = {
    (Verb.ENQUEUE, PENDING, EventName.ADDED): _enqueue,
    (Verb.CLAIM, PROCESSING, EventName.PROCESSING): _claim,
    (Verb.COMPLETE, COMPLETED, EventName.COMPLETED): _complete,
    (Verb.FAIL, PENDING, EventName.FAILED): _fail(FOR_NOW),
    (Verb.FAIL, FAILED, EventName.FAILED): _fail(FOR_GOOD),
    (Verb.FAIL, CANCELLED, EventName.CANCELLED): _fail(FOR_NOW, cancelled=True),
    (Verb.SUSPEND, WAITING, EventName.WAITING): _suspend(AN_HOUR),
    (Verb.SUSPEND, PENDING, EventName.RESUMED): _suspend(AN_HOUR, a_wait_for(new_id())),
    (Verb.SUSPEND, CANCELLED, EventName.CANCELLED): _suspend(AN_HOUR, cancelled=True),
    (Verb.WAKE, PENDING, EventName.RESUMED): _wake,
    (Verb.NOTE, PROCESSING, EventName.PROGRESS): _note(Note(progress=50)),
    (Verb.NOTE, PROCESSING, EventName.OUTPUT): _note(Note(output=Json("1"))),
    (Verb.NOTE, PROCESSING, EventName.PROLONGED): _note(Note(prolonged_ms=1000)),
    (Verb.RELEASE, PENDING, EventName.RELEASED): _release(cancelled=False),
    (Verb.RELEASE, CANCELLED, EventName.CANCELLED): _release(cancelled=True),
    (Verb.RECLAIM, PENDING, EventName.RECLAIMED): _reclaim(),
    (Verb.RECLAIM, FAILED, EventName.FAILED): _reclaim(max_crashes=0),
    (Verb.RECLAIM, CANCELLED, EventName.CANCELLED): _reclaim(cancelled=True),
    (Verb.CANCEL, CANCELLED, EventName.CANCELLED): _cancel(PENDING),
    (Verb.CANCEL, PROCESSING, None): _cancel(PROCESSING),
    (Verb.RETRY, PENDING, EventName.RETRIED): _retry,
    (Verb.EDIT, PENDING, EventName.EDITED): _edit,
}
# Of a job that is gone there is nothing to see; the verb that does it is tried from every status above.
MOVES: Final = [(verb, move.to, move.event) for verb in Verb for move in TRANSITIONS[verb] if move.to is not None]


@pytest.mark.parametrize(("verb", "to", "event"), MOVES)
async def test_every_move_of_the_table_can_be_made_and_is_told_by_its_event(
    storage: Storage, clock: ManualClock, verb: Verb, to: JobStatus, event: EventName | None
) -> None:
    job = await LEADING_TO[verb, to, event](storage, clock)
    assert job.status is to
    last = (await told(storage, job.id))[-1]
    assert last is (event or EventName.PROCESSING)


def test_each_arranged_move_is_one_of_the_table() -> None:
    assert set(LEADING_TO) == set(MOVES)


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
        await jobs.suspend([Lease(job.id, invocation)], waits=[[AN_HOUR]])
        await jobs.note([Lease(job.id, invocation)], notes=[Note(progress=1, output=Json("1"))])
        await jobs.release([Lease(job.id, invocation)])
        await jobs.abandon([Lease(job.id, invocation)])
        await jobs.heartbeat([Lease(job.id, invocation)], lease=LEASE * 2)
    assert await jobs.get(job.id) == job
    assert await told(storage, job.id) == events
