"""Suspends and ends of tokens that meet: whatever the order, a job resumes exactly once and finds the first output."""

from __future__ import annotations

import asyncio
import random

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.job import JobStatus, Json, Reported
from dataqueue.domain.steps import StepOutcome, Wait
from dataqueue.domain.tokens import NewToken, Token, TokenStatus
from dataqueue.ids import new_id
from dataqueue.storage.answers import Ended
from dataqueue.storage.port import Storage
from tests.storage.given import (
    HOUR,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_wait_for,
    claim,
    claim_this,
    given_claimed_job,
    given_claimed_jobs,
    given_token,
    steps_of,
    told,
)

CALLERS = 20


async def completed_by_many(storage: Storage, token: Token) -> list[Ended]:
    tokens = storage.tokens(NAMESPACE)
    return await asyncio.gather(*(tokens.complete(token.id, output=Json(str(n))) for n in range(CALLERS)))


async def assert_resumed_once(storage: Storage, held: ClaimedJob, token: Token, ends: list[Ended]) -> None:
    """The job is ready, was told so once, and has in its step what the one first caller said."""
    [first] = [number for number, ended in enumerate(ends) if ended.is_first]
    assert {ended.token.output for ended in ends} == {str(first)}
    assert (await storage.jobs(NAMESPACE).get(held.id)).status is JobStatus.PENDING
    assert (await told(storage, held.id)).count(EventName.RESUMED) == 1
    [step] = await steps_of(storage, held.id)
    assert (step.outcome, step.value) == (StepOutcome.OK, str(first))
    again = await claim_this(storage.jobs(NAMESPACE), held)
    assert (again.attempts, again.invocation) == (1, 2)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_of_many_who_complete_before_or_after_the_suspend_the_first_counts(storage: Storage, when: str) -> None:
    jobs, token, held = storage.jobs(NAMESPACE), await given_token(storage), await given_claimed_job(storage)
    ends = await completed_by_many(storage, token) if when == "before" else []
    assert await jobs.suspend([held.lease], waits=[[a_wait_for(token)]]) == [Reported.OK]
    ends = ends or await completed_by_many(storage, token)
    await assert_resumed_once(storage, held, token, ends)
    assert sorted(len(ended.woken) for ended in ends) == [0] * (CALLERS - 1) + [int(when == "after")]


@pytest.mark.parametrize("seed", range(10))
async def test_of_many_who_complete_during_the_suspend_the_first_counts(storage: Storage, seed: int) -> None:
    jobs, token, held = storage.jobs(NAMESPACE), await given_token(storage), await given_claimed_job(storage)
    chance = random.Random(seed)

    async def suspend() -> None:
        await asyncio.sleep(chance.uniform(0, 0.02))
        assert await jobs.suspend([held.lease], waits=[[a_wait_for(token)]]) == [Reported.OK]

    ends, _ = await asyncio.gather(completed_by_many(storage, token), suspend())
    await assert_resumed_once(storage, held, token, ends)


async def test_suspends_of_many_jobs_and_the_end_of_what_they_wait_for_lose_no_wake_up(storage: Storage) -> None:
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    for seed in range(5):
        made, held = [await given_token(storage) for _ in range(3)], await given_claimed_jobs(storage, 30)
        chance = random.Random(seed)

        async def suspend(some: list[ClaimedJob], made: list[Token], chance: random.Random) -> None:
            waits = [[a_wait_for(one, name=str(one.id)) for one in chance.sample(made, 2)] for _ in some]
            assert set(await jobs.suspend([job.lease for job in some], waits=waits)) == {Reported.OK}

        batches = [held[first : first + 3] for first in range(0, 30, 3)]
        chance.shuffle(batches)
        await asyncio.gather(
            *(suspend(batch, made, chance) for batch in batches),
            *(tokens.complete(one.id, output=Json("1")) for one in made),
        )
        assert len(await claim(jobs, held[0].job_type)) == 30
        for job in held:
            assert (await told(storage, job.id)).count(EventName.RESUMED) == 1


async def test_the_end_of_a_sleep_and_of_a_token_at_once_resume_a_job_once(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    for _ in range(5):
        token, held = await given_token(storage), await given_claimed_job(storage)
        await jobs.suspend([held.lease], waits=[[a_wait_for(token), Wait(name="rest", delay=SECOND)]])
        clock.advance(SECOND)
        await asyncio.gather(
            *(storage.upkeep.stage(limit=10) for _ in range(5)),
            *(tokens.complete(token.id, output=Json("1")) for _ in range(5)),
        )
        assert (await told(storage, held.id)).count(EventName.RESUMED) == 1
        await claim_this(jobs, held)


async def test_a_cancel_and_the_end_of_a_token_at_once_leave_the_job_cancelled(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    for _ in range(10):
        token, held = await given_token(storage), await given_claimed_job(storage)
        await jobs.suspend([held.lease], waits=[[a_wait_for(token)]])
        await asyncio.gather(storage.tokens(NAMESPACE).complete(token.id, output=Json("1")), jobs.cancel([held.id]))
        assert (await jobs.get(held.id)).status is JobStatus.CANCELLED
        assert [step.value for step in await steps_of(storage, held.id)] == ["1"]


async def test_expiring_and_completing_at_once_end_a_token_once(storage: Storage, clock: ManualClock) -> None:
    token, held = await given_token(storage, timeout=MINUTE), await given_claimed_job(storage)
    await storage.jobs(NAMESPACE).suspend([held.lease], waits=[[a_wait_for(token)]])
    clock.advance(MINUTE)
    rounds = asyncio.gather(*(storage.upkeep.expire_tokens(limit=10) for _ in range(10)))
    ends, expired = await asyncio.gather(completed_by_many(storage, token), rounds)
    assert not any(ended.is_first for ended in ends)
    assert {ended.token.status for ended in ends} == {TokenStatus.TIMED_OUT}
    assert sum(one.count for one in expired) <= 1
    assert (await told(storage, held.id)).count(EventName.RESUMED) == 1
    assert [step.outcome for step in await steps_of(storage, held.id)] == [StepOutcome.TIMEOUT]


async def test_many_who_wait_for_one_token_are_all_woken_once(storage: Storage) -> None:
    jobs, token = storage.jobs(NAMESPACE), await given_token(storage)
    batches = [await given_claimed_jobs(storage, 500) for _ in range(5)]
    for held in batches:
        await jobs.suspend([job.lease for job in held], waits=[[a_wait_for(token)]] * 500)
    ended = await storage.tokens(NAMESPACE).complete(token.id, output=Json('"all"'))
    assert ended.woken == {held[0].job_type for held in batches}
    for held in batches:
        assert len(await claim(jobs, held[0].job_type, limit=1000)) == 500
        for job in held[::100]:
            assert (await told(storage, job.id)).count(EventName.RESUMED) == 1
            assert [step.value for step in await steps_of(storage, job.id)] == ['"all"']
    assert (await storage.upkeep.expire_tokens(limit=10)).woken == frozenset()


async def test_many_tokens_that_expire_at_once_wake_everybody(storage: Storage, clock: ManualClock) -> None:
    jobs, new = storage.jobs(NAMESPACE), [NewToken(id=new_id(), timeout=HOUR) for _ in range(1500)]
    made = await storage.tokens(NAMESPACE).create(new)
    held = await given_claimed_jobs(storage, 1500)
    await jobs.suspend([job.lease for job in held], waits=[[a_wait_for(token)] for token in made])
    clock.advance(HOUR)
    expired = 0
    while some := (await storage.upkeep.expire_tokens(limit=2000)).count:
        expired += some
    assert expired == 1500
    assert len(await claim(jobs, held[0].job_type, limit=2000)) == 1500
