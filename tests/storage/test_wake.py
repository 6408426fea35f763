"""Waiting to pending, when an instant has come; what ends a token wakes as well (test_tokens)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import JobStatus, Json
from dataqueue.domain.steps import Wait
from dataqueue.storage.answers import Staged
from dataqueue.storage.port import Storage
from tests.storage.given import (
    AN_HOUR,
    HOUR,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_wait_for,
    claim,
    claim_this,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job,
    given_token,
    given_waiting_job,
    steps_of,
    told,
)


async def test_a_sleeping_job_resumes_from_its_instant_on(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_waiting_job(storage, AN_HOUR, tags=("a",))
    before = await jobs.get(held.id)
    clock.advance(HOUR - timedelta(microseconds=1))
    assert await storage.upkeep.stage(limit=10) == Staged(0, 0.000001)
    assert await jobs.get(held.id) == before
    clock.advance(timedelta(microseconds=1))
    assert await storage.upkeep.stage(limit=10) == Staged(1, None)
    job = await jobs.get(held.id)
    assert (job.status, job.pending_reason, job.wait_until) == (JobStatus.PENDING, None, None)
    assert (job.attempts, job.run_at, job.updated_at) == (1, before.run_at, clock.now())
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.job_type, event.tags, event.data) == (EventName.RESUMED, held.job_type, ("a",), "{}")
    again = await claim_this(jobs, held)
    assert (again.attempts, again.invocation, again.has_steps) == (1, 2, True)


async def test_a_job_that_was_scheduled_is_not_told_to_resume(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage, delay=MINUTE)
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    assert await told(storage, job.id) == [EventName.ADDED]
    assert (await claim_this(storage.jobs(NAMESPACE), job)).attempts == 1


async def test_a_job_whose_token_has_not_come_resumes_when_its_sleep_is_over(
    storage: Storage, clock: ManualClock
) -> None:
    token = await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token), AN_HOUR)
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    assert (await storage.tokens(NAMESPACE).complete(token.id, output=Json("1"))).woken == frozenset()
    assert (await told(storage, held.id)).count(EventName.RESUMED) == 1
    assert [step.value for step in await steps_of(storage, held.id)] == ["1", None]


async def test_a_job_that_was_cancelled_is_not_woken(storage: Storage, clock: ManualClock) -> None:
    held = await given_waiting_job(storage, AN_HOUR)
    await storage.jobs(NAMESPACE).cancel([held.id])
    clock.advance(HOUR)
    assert await storage.upkeep.stage(limit=10) == Staged(0, None)
    assert (await storage.jobs(NAMESPACE).get(held.id)).status is JobStatus.CANCELLED


async def test_a_job_that_was_cancelled_and_retried_is_due_at_once_and_once(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_waiting_job(storage, AN_HOUR)
    await jobs.cancel([held.id])
    await jobs.retry([held.id])
    assert (await claim_this(jobs, held)).attempts == 2
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 0


async def test_staging_says_when_the_next_sleep_is_over_or_the_next_token_expires(
    storage: Storage, clock: ManualClock
) -> None:
    await given_waiting_job(storage, AN_HOUR)
    assert await storage.upkeep.stage(limit=10) == Staged(0, 3600)
    await given_token(storage, timeout=MINUTE)
    assert await storage.upkeep.stage(limit=10) == Staged(0, 60)
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    assert await storage.upkeep.stage(limit=10) == Staged(0, 3540)


async def test_staging_times_tokens_out_and_resumes_who_waits_for_them(storage: Storage, clock: ManualClock) -> None:
    token = await given_token(storage, timeout=MINUTE)
    held = await given_waiting_job(storage, a_wait_for(token))
    clock.advance(MINUTE)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    assert (await storage.jobs(NAMESPACE).get(held.id)).status is JobStatus.PENDING
    assert (await told(storage, held.id))[-1] is EventName.RESUMED


async def test_no_more_are_woken_than_asked_for_and_the_longest_due_go_first(
    storage: Storage, clock: ManualClock
) -> None:
    jobs = storage.jobs(NAMESPACE)
    late, early, middle = held = await given_claimed_jobs(storage, 3)
    waits = [[Wait(name="w", delay=n * SECOND)] for n in (3, 1, 2)]
    await jobs.suspend([job.lease for job in held], waits=waits)
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=2)).count == 2
    assert {job.id for job in await claim(jobs, late.job_type)} == {early.id, middle.id}
    assert (await storage.upkeep.stage(limit=2)).count == 1


async def test_any_number_of_stagers_wake_each_job_once(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_jobs(storage, 60)
    await jobs.suspend([job.lease for job in held], waits=[[AN_HOUR]] * 60)
    clock.advance(HOUR)
    rounds = await asyncio.gather(*(storage.upkeep.stage(limit=10) for _ in range(10)))
    last = await storage.upkeep.stage(limit=100)
    assert sum(staged.count for staged in rounds) + last.count == 60
    assert len(await claim(jobs, held[0].job_type)) == 60
    for job in held:
        assert (await told(storage, job.id)).count(EventName.RESUMED) == 1


async def test_ten_thousand_that_are_due_at_once_are_all_woken(storage: Storage, clock: ManualClock) -> None:
    jobs = storage.jobs(NAMESPACE)
    for _ in range(10):
        held = await given_claimed_jobs(storage, 1000)
        await jobs.suspend([job.lease for job in held], waits=[[AN_HOUR]] * 1000)
    clock.advance(HOUR)
    rounds = [(await storage.upkeep.stage(limit=1000)).count for _ in range(11)]
    assert rounds == [1000] * 10 + [0]


async def test_a_claimed_job_is_not_woken_by_the_sleep_it_had(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.suspend([held.lease], waits=[[AN_HOUR, Wait(name="soon", delay=SECOND)]])
    clock.advance(SECOND)
    await storage.upkeep.stage(limit=10)
    await claim_this(jobs, held)
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 0
    assert (await jobs.get(held.id)).status is JobStatus.PROCESSING
