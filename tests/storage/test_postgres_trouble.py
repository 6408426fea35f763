"""A server in trouble: it gives statements up, takes no writes any more, or says nothing at all."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.engine import make_url

from dataqueue.domain.job import Json, Reported
from dataqueue.errors import StorageRefused, StorageUnavailable
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Hint, Storage
from dataqueue.storage.postgres import notifier
from tests.storage.given import NAMESPACE, a_type, eventually, given_claimed_job, new_job
from tests.storage.raw import connected
from tests.storage.severing import Severing
from tests.storage.test_hints import heard


async def test_a_report_that_the_server_cancels_is_of_unknown_outcome_and_can_be_repeated(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs, held = live_storage.jobs(NAMESPACE), await given_claimed_job(live_storage)
    async with connected(postgres_url) as other, connected(postgres_url) as killer:
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        completing = asyncio.create_task(jobs.complete([held.lease], outputs=[Json("1")]))

        async def cancelled() -> int | None:
            count: int = await killer.fetchval(
                """select count(*) filter (where pg_cancel_backend(pid)) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()"""
            )
            return count or None

        await eventually("the report waits and is cancelled", cancelled)
        with pytest.raises(StorageUnavailable) as broken:
            await completing
        assert broken.value.outcome_unknown
        await lock.rollback()
    assert await jobs.complete([held.lease], outputs=[Json("1")]) == [Reported.OK]


async def test_an_output_that_the_database_cannot_hold_is_refused(live_storage: Storage) -> None:
    jobs, held = live_storage.jobs(NAMESPACE), await given_claimed_job(live_storage)
    with pytest.raises(StorageRefused):
        await jobs.complete([held.lease], outputs=[Json('{"unfinished')])
    assert await jobs.complete([held.lease], outputs=[Json("1")]) == [Reported.OK]


async def test_a_connection_that_takes_no_writes_is_not_used_again(postgres_url: str) -> None:
    """As after a failover, when the address leads to another server and the pool still holds the former primary."""
    database, job = make_url(postgres_url).database, new_job(job_type=a_type())
    storage = open_storage(postgres_url, pool_size=1)
    async with connected(postgres_url) as other:
        await other.execute(f'alter database "{database}" set default_transaction_read_only = on')
        with pytest.raises(StorageUnavailable) as away:
            await storage.jobs(NAMESPACE).enqueue([[job]])
        assert not away.value.outcome_unknown
        await other.execute(f'alter database "{database}" reset default_transaction_read_only')
    [[stored]] = await storage.jobs(NAMESPACE).enqueue([[job]])
    assert (stored.id, stored.created) == (job.id, True)
    await storage.close()


async def test_listening_goes_on_after_its_connection_fell_silent(
    severed: tuple[Severing, Storage], live_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a balancer forgets it: no end of the connection is told."""
    monkeypatch.setattr(notifier, "SILENCE", 0.1)
    monkeypatch.setattr(notifier, "_CONNECT_TIMEOUT", 0.5)
    severing, storage = severed
    before, after = Hint("ready", NAMESPACE, ("before",)), Hint("ready", NAMESPACE, ("after",))
    async with storage.notifier.listen() as hints:
        assert await heard(live_storage, hints, before) == before
        assert severing.fall_silent() == 1
        assert await heard(live_storage, hints, after) == after


class CountingId(UUID):
    """Counts how often ids are compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountingId.compared += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


@pytest.mark.parametrize("shared", [True, False], ids=["of many callers", "of one"])
async def test_a_thousand_keyed_jobs_are_not_each_compared_with_each(live_storage: Storage, shared: bool) -> None:
    job_type = a_type()
    new = [new_job(job_type=job_type, idempotency_key=f"k{number}") for number in range(1000)]
    new = [
        new_job(id=CountingId(int=job.id.int), job_type=job_type, idempotency_key=job.idempotency_key) for job in new
    ]
    CountingId.compared = 0
    answers = await live_storage.jobs(NAMESPACE).enqueue([[job] for job in new] if shared else [new])
    assert sum(answer.created for unit in answers for answer in unit) == 1000
    assert CountingId.compared < 20 * 1000
