"""Trouble of PostgreSQL's own costs no finished job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg
import pytest

from dataqueue import HandlerRegistry, JobStatus
from dataqueue.domain.events import EventName
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.errors import translated
from tests.processing.a_worker import Meddled, a_worker, completed, ended, enqueue
from tests.storage.given import eventually, told
from tests.storage.raw import connected

Open = Callable[[], Storage]
CANCEL_WHAT_COMPLETES: Final = """select count(*) filter (where pg_cancel_backend(pid)) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()
        and query like '%set status = ''completed''%'"""


async def test_a_finished_job_whose_report_the_server_cancels_is_completed_and_never_fails(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, postgres_url: str
) -> None:
    """`pg_cancel_backend`, a statement_timeout: the server's trouble is not the output's."""
    started, finish = asyncio.Event(), asyncio.Event()

    @registry.handler("pay")
    async def pay() -> str:
        started.set()
        await finish.wait()
        return "paid"

    [job_id] = await enqueue(live_storage, "pay", dead_letter_job_type="dead")
    storage = Meddled(live_storage)
    async with (
        connected(postgres_url) as other,
        connected(postgres_url) as killer,
        a_worker(storage, registry, open_storage=open_another),
    ):
        await asyncio.wait_for(started.wait(), 10)
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", job_id)
        finish.set()

        async def cancelled() -> int | None:
            count: int = await killer.fetchval(CANCEL_WHAT_COMPLETES)
            return count or None

        await eventually("the report was cancelled", cancelled)
        await lock.rollback()
        job = await ended(live_storage, job_id)
    assert (job.status, job.output, job.dead_letter_job_id) == (JobStatus.COMPLETED, '"paid"', None)
    assert storage.calls["fail"] == 0
    assert await told(live_storage, job_id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


@pytest.mark.parametrize("error", [asyncpg.QueryCanceledError, asyncpg.DiskFullError, asyncpg.OutOfMemoryError])
async def test_a_finished_job_is_completed_after_any_trouble_of_the_server(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open, error: type[Exception]
) -> None:
    left = 3

    async def trouble() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            with translated():
                raise error("no")

    @registry.handler("pay")
    async def pay() -> str:
        return "paid"

    job_ids = await enqueue(live_storage, "pay", 3)
    storage = Meddled(live_storage, {"complete": trouble})
    async with a_worker(storage, registry, open_storage=open_another):
        await completed(live_storage, job_ids)
    assert storage.calls["fail"] == 0
