"""What somebody else's open transaction costs: the job it holds, and no other."""

from __future__ import annotations

import asyncio

import pytest

from dataqueue.domain.job import Beat, Json, Lease, Note
from dataqueue.domain.steps import NewStep
from dataqueue.storage.port import Storage
from tests.storage.given import AN_HOUR, LEASE, NAMESPACE, eventually, given_claimed_job, given_claimed_jobs, save
from tests.storage.raw import connected


async def test_a_row_that_is_held_costs_a_heartbeat_no_other_lease(storage: Storage, postgres_url: str) -> None:
    jobs = storage.jobs(NAMESPACE)
    held, free = await given_claimed_jobs(storage, 2)
    before = [(await jobs.get(job.id)).lease_expires_at for job in (held, free)]
    async with connected(postgres_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        assert await jobs.heartbeat([held.lease, free.lease], lease=2 * LEASE) == [Beat.BUSY, Beat.OK]
        await transaction.rollback()
    after = [(await jobs.get(job.id)).lease_expires_at for job in (held, free)]
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("change", "is_held"),
    [("lease_expires_at = now()", True), ("invocation = invocation + 1", False), ("status = 'cancelled'", False)],
)
@pytest.mark.parametrize("what", ["save", "note", "suspend"])
async def test_what_is_written_for_a_lease_waits_for_the_job_and_then_goes_by_what_it_is_now(
    storage: Storage, postgres_url: str, what: str, change: str, is_held: bool
) -> None:
    held = await given_claimed_job(storage)
    async with connected(postgres_url) as other, connected(postgres_url) as watch:
        await other.execute("begin")
        await other.execute(f"update dataqueue.job set {change} where id = $1", held.id)
        writing = asyncio.create_task(_is_written(storage, what, held.lease))

        async def waits() -> bool | None:
            return await watch.fetchval("select true from pg_stat_activity where wait_event_type = 'Lock'") or None

        await eventually("it waits for the job", waits)
        await other.execute("commit")
        assert await writing is is_held


async def _is_written(storage: Storage, what: str, lease: Lease) -> bool:
    match what:
        case "save":
            return await save(storage, lease, NewStep(name="a", value=Json("1"))) is not None
        case "note":
            return await storage.jobs(NAMESPACE).note([lease], notes=[Note(progress=1)]) == ["ok"]
        case _:
            return await storage.jobs(NAMESPACE).suspend([lease], waits=[[AN_HOUR]]) == ["ok"]
