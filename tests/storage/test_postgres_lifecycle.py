"""Job types as PostgreSQL keeps them: one that is paused behind the port's back, and how many rows they are."""

from __future__ import annotations

from datetime import timedelta

from dataqueue.storage.port import Storage
from tests.storage.given import (
    NAMESPACE,
    claim,
    claim_this,
    given_job,
)
from tests.storage.raw import connected


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
