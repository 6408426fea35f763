"""What happened to a job, in order."""

from __future__ import annotations

import asyncio
import json

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import Event, EventName
from dataqueue.domain.job import EMPTY_OBJECT
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    LEASE,
    MAX_CRASHES,
    MINUTE,
    NAMESPACE,
    SECOND,
    claim,
    claim_this,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job,
)


async def test_a_new_job_has_one_event(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, tags=("a", 'b"'))
    [event] = await events_of(storage, job.id)
    assert event == Event(
        id=event.id,
        namespace=NAMESPACE,
        event=EventName.ADDED,
        job_id=job.id,
        job_type=job.job_type,
        tags=("a", 'b"'),
        at=clock.now(),
        data=EMPTY_OBJECT,
    )
    assert event.id > 0


async def test_each_transition_is_told_once_with_its_instant_and_its_fields(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, worker_id="ann", max_attempts=1)
    await jobs.release([held.lease])
    held = await claim_this(jobs, held, worker_id="bob")
    clock.advance(LEASE + SECOND)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    held = await claim_this(jobs, held, worker_id="eve")
    await jobs.fail([held.lease], failures=[FOR_NOW])
    clock.advance(MINUTE)
    await jobs.retry([held.id])
    await jobs.cancel([held.id])
    await jobs.retry([held.id])
    held = await claim_this(jobs, held, worker_id="ann")
    await jobs.complete([held.lease], outputs=[None])

    events = await events_of(storage, held.id)
    assert [(event.event, json.loads(event.data)) for event in events] == [
        (EventName.ADDED, {}),
        (EventName.PROCESSING, {"attempt": 1, "worker_id": "ann"}),
        (EventName.RELEASED, {}),
        (EventName.PROCESSING, {"attempt": 1, "worker_id": "bob"}),
        (EventName.RECLAIMED, {}),
        (EventName.PROCESSING, {"attempt": 1, "worker_id": "eve"}),
        (
            EventName.FAILED,
            {
                "attempt": 1,
                "message": FOR_NOW.message,
                "reason": "handler_error",
                "will_retry": False,
                "next_attempt_at": None,
            },
        ),
        (EventName.RETRIED, {}),
        (EventName.CANCELLED, {}),
        (EventName.RETRIED, {}),
        (EventName.PROCESSING, {"attempt": 2, "worker_id": "ann"}),
        (EventName.COMPLETED, {"attempt": 2}),
    ]
    end = clock.now()
    began = end - MINUTE - LEASE - SECOND
    assert [event.at for event in events] == [began] * 4 + [end - MINUTE] * 3 + [end] * 5


async def test_positions_grow_and_no_two_events_share_one(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    held = await given_claimed_jobs(storage, 20)
    await asyncio.gather(*(jobs.complete([job.lease], outputs=[None]) for job in held))
    positions = [[event.id for event in await events_of(storage, job.id)] for job in held]
    assert all(of_one == sorted(of_one) for of_one in positions)
    assert len({position for of_one in positions for position in of_one}) == 60


async def test_events_are_read_on_from_a_position(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.complete([held.lease], outputs=[None])
    log, events = storage.events(NAMESPACE), await events_of(storage, held.id)
    assert await log.of_job(held.id, after=0, limit=2) == events[:2]
    assert await log.of_job(held.id, after=events[1].id, limit=2) == events[2:]
    assert await log.of_job(held.id, after=events[0].id, limit=1) == [events[1]]


async def test_after_the_last_event_there_is_nothing_and_the_job_is_still_found(storage: Storage) -> None:
    job = await given_job(storage)
    [event] = await events_of(storage, job.id)
    assert await storage.events(NAMESPACE).of_job(job.id, after=event.id, limit=10) == []
    assert await storage.events(NAMESPACE).of_job(job.id, after=2**62, limit=10) == []


async def test_a_job_that_is_not_there_has_no_events(storage: Storage) -> None:
    await given_job(storage)
    with pytest.raises(NotFound):
        await storage.events(NAMESPACE).of_job(new_id(), after=0, limit=10)


async def test_claims_that_took_nothing_are_not_told(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    before = await events_of(storage, held.id)
    await claim(storage.jobs(NAMESPACE), held.job_type)
    await storage.upkeep.stage(limit=10)
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    assert await events_of(storage, held.id) == before
