"""One verb on one job, judged by the table of the lifecycle."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import Job, Lease, Note, Reported
from dataqueue.domain.lifecycle import TRANSITIONS, Verb, allows
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.storage.port import Storage
from tests.storage.given import AN_HOUR, FOR_NOW, HOUR, LEASE, MAX_CRASHES, NAMESPACE, SECOND, claim, told

ON_ONE_THAT_IS_THERE: Final = tuple(verb for verb in Verb if verb is not Verb.ENQUEUE)


async def attempt(storage: Storage, clock: ManualClock, verb: Verb, job: Job, lease: Lease) -> None:
    """Try `verb` on `job`: it makes one of the moves of the table from where the job is, or refuses."""
    jobs = storage.jobs(NAMESPACE)
    before = await told(storage, job.id)
    if verb is Verb.RECLAIM:
        clock.advance(LEASE + SECOND)
    if verb is Verb.WAKE:
        clock.advance(HOUR)
    accepted = await _done(storage, verb, job, lease)
    assert accepted is allows(verb, job.status)
    if accepted and verb is Verb.DELETE:
        for look in (jobs.get(job.id), told(storage, job.id)):
            with pytest.raises(NotFound):
                await look
        return

    after = await jobs.get(job.id)
    events = (await told(storage, job.id))[len(before) :]
    if accepted:
        made = [
            (move.to, [move.event] if move.event else []) for move in TRANSITIONS[verb] if job.status in move.sources
        ]
        assert (after.status, events) in made
    else:
        assert (after, events) == (job, [])


async def _done(storage: Storage, verb: Verb, job: Job, lease: Lease) -> bool:
    """Whether the storage says that it did it."""
    jobs = storage.jobs(NAMESPACE)
    match verb:
        case Verb.CLAIM:
            return [claimed.id for claimed in await claim(jobs, job.job_type)] == [job.id]
        case Verb.COMPLETE:
            return await jobs.complete([lease], outputs=[None]) == [Reported.OK]
        case Verb.FAIL:
            return await jobs.fail([lease], failures=[FOR_NOW]) == [Reported.OK]
        case Verb.SUSPEND:
            return await jobs.suspend([lease], waits=[[AN_HOUR]]) == [Reported.OK]
        case Verb.WAKE:
            return (await storage.upkeep.stage(limit=10)).count == 1
        case Verb.NOTE:
            return await jobs.note([lease], notes=[Note(progress=7)]) == [Reported.OK]
        case Verb.RELEASE:
            return await jobs.release([lease]) == [Reported.OK]
        case Verb.RECLAIM:
            return await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 1
        case Verb.CANCEL:
            return await _accepted(jobs.cancel([job.id]))
        case Verb.RETRY:
            return await _accepted(jobs.retry([job.id]))
        case Verb.EDIT:
            return await _accepted(jobs.edit([job.id], JobEdit(priority=7)))
        case Verb.DELETE:
            return await _accepted(jobs.delete([job.id]))
        case Verb.ENQUEUE:
            raise AssertionError("makes a job and moves none")


async def _accepted(verb: Awaitable[None]) -> bool:
    try:
        await verb
    except IllegalTransition:
        return False
    return True
