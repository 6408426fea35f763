"""What somebody else's open transaction costs: the job it holds, and no other."""

from __future__ import annotations

from dataqueue.domain.job import Beat
from dataqueue.storage.port import Storage
from tests.storage.given import LEASE, NAMESPACE, given_claimed_jobs
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
