"""A transaction of somebody's that has enqueued and stays open for minutes holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import pytest

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Beat, Failure, JobStatus, Reported
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.storage.opening import migrate
from dataqueue.storage.port import Storage
from tests.storage.given import LEASE, MAX_CRASHES, NAMESPACE, claim, given_claimed_job, given_job, new_job
from tests.storage.raw import connected

T = TypeVar("T")
PROMPT: Final = 0.9
LAST_DAY: Final = """select max(inhrelid::regclass::text) from pg_inherits
    where inhparent = 'dataqueue.event'::regclass and inhrelid::regclass::text like '%2%'"""
OLD_DAY: Final = """create table dataqueue.event_20200101 partition of dataqueue.event
    for values from ('2020-01-01Z') to ('2020-01-02Z')"""
ENQUEUED: Final = """
    select dataqueue_enqueue('new', dead_letter_job_type => 'graveyard', tags => '{a}');
    select dataqueue_enqueue('mail', idempotency_key => 'theirs', tags => '{a}');
    select dataqueue_enqueue('mail', delay => '1 hour')"""


@pytest.fixture
async def held_open(live_storage: Storage, postgres_url: str) -> AsyncIterator[Any]:
    """A transaction that has enqueued jobs of a new type and of a known one, with a key and without."""
    await given_job(live_storage, job_type="mail", status=JobStatus.COMPLETED)
    async with connected(postgres_url) as connection:
        # There is a day of events to make room for, and one that is too old to be kept.
        last = await connection.fetchval(LAST_DAY)
        await connection.execute(f"drop table {last}; {OLD_DAY}")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(ENQUEUED)
        yield transaction


async def promptly(doing: Awaitable[T]) -> T:
    return await asyncio.wait_for(doing, PROMPT)


async def test_jobs_of_the_same_types_and_with_other_keys_are_enqueued(live_storage: Storage, held_open: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    for fields in (
        {"job_type": "new"},
        {"job_type": "other", "dead_letter_job_type": "graveyard"},
        {"job_type": "mail", "idempotency_key": "ours", "tags": ("a",)},
        {"job_type": "new", "idempotency_key": "ours too", "tags": ("a",)},
    ):
        [[answer]] = await promptly(jobs.enqueue([[new_job(**fields)]]))
        assert answer.created
    await held_open.commit()
    await live_storage.upkeep.stage(limit=10)
    assert len(await claim(jobs, "new", "mail", "other")) == 6


async def test_jobs_run_to_their_end(live_storage: Storage, held_open: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    done, failed, released, cancelled = [await given_claimed_job(live_storage, tags=("a",)) for _ in range(4)]
    assert await promptly(jobs.heartbeat([done.lease], lease=LEASE)) == [Beat.OK]
    assert await promptly(jobs.complete([done.lease], outputs=[None])) == [Reported.OK]
    assert await promptly(jobs.fail([failed.lease], failures=[Failure("no")])) == [Reported.OK]
    assert await promptly(jobs.release([released.lease])) == [Reported.OK]
    await promptly(jobs.cancel([cancelled.id]))
    await promptly(jobs.retry([failed.id]))
    await promptly(jobs.edit([failed.id], JobEdit(tags=("a", "b"))))
    await promptly(jobs.delete([done.id]))
    assert [job.id for job in await promptly(claim(jobs, failed.job_type))] == [failed.id]


async def test_lists_and_bulk_changes_go_on(live_storage: Storage, held_open: Any) -> None:
    jobs, ours = live_storage.jobs(NAMESPACE), new_job(job_type="mail", tags=("a",))
    await promptly(jobs.enqueue([[ours]]))
    page = await promptly(jobs.page(JobFilter(tags=("a",)), before=None, limit=10))
    assert [job.id for job in page.jobs] == [ours.id]
    swept = await promptly(jobs.sweep(Verb.CANCEL, JobFilter(job_types=("mail",)), before=None, limit=10))
    assert swept.changed == 1


DUTIES: Final[dict[str, Callable[[Storage], Awaitable[object]]]] = {
    "stage": lambda storage: storage.upkeep.stage(limit=100),
    "reclaim": lambda storage: storage.upkeep.reclaim(limit=100, max_crashes=MAX_CRASHES),
    "prepare_event_log": lambda storage: storage.upkeep.prepare_event_log(),
    "prune": lambda storage: storage.upkeep.prune(Retention(), limit=100),
    "prune_events": lambda storage: storage.upkeep.prune_events(keep=timedelta(days=1)),
    "fold_counts": lambda storage: storage.upkeep.fold_counts(limit=100),
    "check": lambda storage: storage.check(),
}


@pytest.mark.parametrize("duty", DUTIES)
async def test_every_duty_is_done_and_holds_up_nobody_either(duty: str, live_storage: Storage, held_open: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    duties = [asyncio.ensure_future(DUTIES[duty](live_storage)) for _ in range(2)]
    enqueues = [asyncio.ensure_future(jobs.enqueue([[new_job(job_type="mail")]])) for _ in range(3)]
    await promptly(asyncio.gather(*duties, *enqueues))


async def test_the_jobs_it_took_back_were_never_there_and_those_it_commits_are(
    live_storage: Storage, held_open: Any
) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    await promptly(live_storage.upkeep.stage(limit=10))
    assert await claim(jobs, "mail", "new") == []
    await held_open.rollback()
    await live_storage.upkeep.stage(limit=10)
    assert await claim(jobs, "mail", "new") == []
    [[answer]] = await jobs.enqueue([[new_job(job_type="mail", idempotency_key="theirs")]])
    assert answer.created


async def test_it_does_not_keep_a_migration_that_changes_nothing(held_open: Any, postgres_url: str) -> None:
    await asyncio.wait_for(migrate(postgres_url), 5)
