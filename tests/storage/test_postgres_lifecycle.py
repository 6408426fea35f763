"""What the port does not lead to yet, and PostgreSQL already has room for: waiting jobs, paused types."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.domain.lifecycle import Verb
from dataqueue.storage.port import Storage
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    NAMESPACE,
    claim,
    claim_this,
    given_claimed_job,
    given_job,
)
from tests.storage.raw import connected
from tests.storage.verbs import ON_ONE_THAT_IS_THERE, attempt

SUSPEND = """update dataqueue.job set status = 'waiting', worker_id = null, locked_at = null,
    lease_expires_at = null, wake_at = $2 where id = $1"""


@pytest.mark.parametrize("verb", ON_ONE_THAT_IS_THERE)
async def test_a_verb_on_a_waiting_job_agrees_with_the_table(
    storage: Storage, clock: ManualClock, postgres_url: str, verb: Verb
) -> None:
    held = await given_claimed_job(storage)
    async with connected(postgres_url) as connection:
        await connection.execute(SUSPEND, held.id, clock.now() + HOUR)
    job = await storage.jobs(NAMESPACE).get(held.id)
    assert (job.status, job.wait_until) == (JobStatus.WAITING, clock.now() + HOUR)
    await attempt(storage, clock, verb, job, held.lease)


async def test_a_wait_that_has_ended_resumes_without_counting_an_attempt(
    storage: Storage, clock: ManualClock, postgres_url: str
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    async with connected(postgres_url) as connection:
        await connection.execute(SUSPEND, held.id, clock.now() + HOUR)
    assert await storage.upkeep.stage(limit=10) == (await storage.upkeep.stage(limit=10))
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    again = await claim_this(jobs, held)
    assert (again.attempts, again.invocation) == (1, 2)
    await jobs.release([again.lease])
    assert (await jobs.get(held.id)).attempts == 1
    once_more = await claim_this(jobs, held)
    assert once_more.attempts == 1
    await jobs.fail([once_more.lease], failures=[FOR_NOW])
    clock.advance(HOUR)
    await storage.upkeep.stage(limit=10)
    assert (await claim_this(jobs, held)).attempts == 2


async def test_a_paused_type_is_not_claimed_and_nothing_else_is_held_up(storage: Storage, postgres_url: str) -> None:
    jobs, paused, other = storage.jobs(NAMESPACE), await given_job(storage, priority=1), await given_job(storage)
    async with connected(postgres_url) as connection:
        await connection.execute("update dataqueue.job_type set paused = true where name = $1", paused.job_type)
        assert await claim(jobs, paused.job_type) == []
        assert [job.id for job in await claim(jobs, paused.job_type, other.job_type)] == [other.id]
        await connection.execute("update dataqueue.job_type set paused = false")
    await claim_this(jobs, paused)


async def test_a_job_type_and_its_dead_letter_type_are_made_once(storage: Storage, postgres_url: str) -> None:
    for _ in range(2):
        await given_job(storage, job_type="a", dead_letter_job_type="b", delay=timedelta(days=1))
    async with connected(postgres_url) as connection:
        names = await connection.fetch("select name from dataqueue.job_type where id > 0 order by id")
    assert [row["name"] for row in names] == ["a", "b"]
