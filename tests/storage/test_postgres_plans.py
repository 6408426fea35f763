"""What the hot statements read and write, counted in buffers and rows: no clock can make these figures flicker."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Json
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.low_water import LowWater
from dataqueue.storage.postgres.statements import numbered
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import FOR_GOOD, FOR_NOW, LEASE, NAMESPACE, claim, new_job
from tests.storage.plans import Explained, explaining
from tests.storage.raw import connected

BATCH: Final = 100
FEW: Final = 3_000  # enough that indexes are two levels deep and reading a whole table is no option
BACKLOG: Final = 60_000
TYPES: Final = ("mail", "other")
PRIMARY_KEYS: Final = ("job_pkey", "job_spec_pkey", "job_type_pkey")
OF_TYPES: Final = "job_type_namespace_id_name_key"
log = logging.getLogger(__name__)

# A third each: ready and of another type, scheduled, completed; the last two of the type that is claimed as well.
FILL: Final = """
with made as (
    insert into dataqueue.job (id, namespace_id, job_type_id, status, pending_reason, run_at, wake_at, attempts,
        invocation, started_at, ended_at, updated_at, created_at)
    select dataqueue.uuid7(), 1, case n % 3 when 0 then other.id else mine.id end,
        case n % 3 when 2 then 'completed' else 'pending' end, case n % 3 when 1 then 'scheduled' end,
        case n % 3 when 1 then now() + n * interval '1 second' else now() - n * interval '1 second' end,
        case n % 3 when 1 then now() + n * interval '1 second' end, case n % 3 when 2 then 1 else 0 end,
        case n % 3 when 2 then 1 else 0 end, case n % 3 when 2 then now() end,
        case n % 3 when 2 then now() end, now(), now()
    from generate_series(1, $1) as n, dataqueue.job_type as mine, dataqueue.job_type as other
    where mine.name = 'mail' and other.name = 'other'
    returning id, job_type_id, seq
)
insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, created_at)
select id, 1, job_type_id, seq, '{}', now() from made
"""


async def given_backlog(storage: PostgresStorage, url: str, count: int) -> None:
    """Jobs that are not to be claimed, and statistics that know of them."""
    made = [new_job(job_type=name) for name in TYPES]
    await storage.jobs(NAMESPACE).enqueue([made])
    await storage.jobs(NAMESPACE).cancel([job.id for job in made])
    async with connected(url) as connection:
        for table in ("job", "job_spec", "job_result", "event_default"):
            await connection.execute(f"alter table dataqueue.{table} set (autovacuum_enabled = false)")
        await connection.execute(FILL, count, timeout=60)
        await connection.execute("vacuum analyze")


async def given_ready(storage: PostgresStorage, **fields: Any) -> list[UUID]:
    made = [new_job(job_type="mail", **fields) for _ in range(BATCH)]
    await storage.jobs(NAMESPACE).enqueue([made])
    return [job.id for job in made]


async def given_held(storage: PostgresStorage, **fields: Any) -> list[ClaimedJob]:
    await given_ready(storage, **fields)
    return await claim(storage.jobs(NAMESPACE), "mail", limit=BATCH)


async def explained(storage: PostgresStorage, verb: str, act: Callable[[], Awaitable[object]]) -> Explained:
    async with explaining(storage.database, verb) as plans:
        await act()
    [plan] = plans
    return plan


async def _claim(storage: PostgresStorage) -> Explained:
    await given_ready(storage)
    return await explained(storage, "jobs/claim", lambda: claim(storage.jobs(NAMESPACE), "mail", limit=BATCH))


async def _claim_of_two_types(storage: PostgresStorage) -> Explained:
    jobs, ready = storage.jobs(NAMESPACE), await given_ready(storage)
    plan = await explained(storage, "jobs/claim", lambda: claim(jobs, *TYPES, limit=BATCH))
    await jobs.cancel(ready)  # else the next measurement would claim those that the other type left over
    return plan


async def _complete(storage: PostgresStorage) -> Explained:
    leases = [held.lease for held in await given_held(storage)]
    outputs = [Json("1")] * BATCH
    return await explained(storage, "jobs/complete", lambda: storage.jobs(NAMESPACE).complete(leases, outputs=outputs))


async def _fail_for_now(storage: PostgresStorage) -> Explained:
    leases = [held.lease for held in await given_held(storage)]
    return await explained(
        storage, "jobs/fail", lambda: storage.jobs(NAMESPACE).fail(leases, failures=[FOR_NOW] * BATCH)
    )


async def _fail_for_good(storage: PostgresStorage) -> Explained:
    leases = [held.lease for held in await given_held(storage, dead_letter_job_type="dead")]
    return await explained(
        storage, "jobs/fail", lambda: storage.jobs(NAMESPACE).fail(leases, failures=[FOR_GOOD] * BATCH)
    )


async def _release(storage: PostgresStorage) -> Explained:
    jobs, leases = storage.jobs(NAMESPACE), [held.lease for held in await given_held(storage)]
    plan = await explained(storage, "jobs/release", lambda: jobs.release(leases))
    await jobs.cancel([lease.job_id for lease in leases])  # as above
    return plan


async def _heartbeat(storage: PostgresStorage) -> Explained:
    leases = [held.lease for held in await given_held(storage)]
    return await explained(storage, "jobs/heartbeat", lambda: storage.jobs(NAMESPACE).heartbeat(leases, lease=LEASE))


HOT: Final = (_claim, _claim_of_two_types, _complete, _fail_for_now, _fail_for_good, _release, _heartbeat)
REPORTS: Final = HOT[2:]


async def buffers_per_job(storage: PostgresStorage, url: str, backlog: int) -> dict[str, float]:
    await given_backlog(storage, url, backlog)
    return {verb.__name__.strip("_"): (await verb(storage)).buffers() / BATCH for verb in HOT}


async def test_buffers_for_a_job_do_not_grow_with_what_is_not_ready(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    # A first round: the logs and indexes that the verbs themselves fill are then two levels deep in both that count.
    await buffers_per_job(live_storage, postgres_url, FEW)
    few = await buffers_per_job(live_storage, postgres_url, 0)
    many = await buffers_per_job(live_storage, postgres_url, BACKLOG)
    log.info("buffers per job with few and with many jobs that are not ready: %s, %s", few, many)
    too_many = {verb: (few[verb], many[verb]) for verb in few if many[verb] > 1.3 * few[verb]}
    assert not too_many


async def test_a_claim_does_not_walk_over_jobs_that_an_open_snapshot_keeps(
    live_storage: Storage, postgres_url: str
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    jobs = live_storage.jobs(NAMESPACE)
    jobs._low_water = LowWater(monotonic=lambda: 0.0)  # so that no full look falls into a measurement
    await given_backlog(live_storage, postgres_url, 0)
    await jobs.enqueue([[new_job(job_type="mail") for _ in range(1000)] for _ in range(3)])

    async def claim_a_batch() -> list[ClaimedJob]:
        return await claim(jobs, "mail", limit=BATCH)

    async with connected(postgres_url) as dump, dump.transaction(isolation="repeatable_read"):
        await dump.fetchval("select count(*) from dataqueue.job")
        first = (await explained(live_storage, "jobs/claim", claim_a_batch)).buffers_for("job_ready")
        for _ in range(25):
            held = await claim_a_batch()
            await jobs.complete([job.lease for job in held], outputs=[None] * len(held))
        last = (await explained(live_storage, "jobs/claim", claim_a_batch)).buffers_for("job_ready")
    assert last <= 2 * first


async def test_reports_reach_their_jobs_by_primary_key_alone(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await given_backlog(live_storage, postgres_url, BACKLOG)
    for verb in REPORTS:
        plan = await verb(live_storage)
        assert plan.indexes_used() <= {
            "job_pkey",
            "job_spec_pkey",
            "job_type_pkey",
            "job_type_namespace_id_name_key",
        }
        assert plan.tables_read_whole() <= {"job_type"}


async def test_a_claim_finds_its_jobs_by_the_index_of_what_is_ready(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await given_backlog(live_storage, postgres_url, BACKLOG)
    for verb in (_claim, _claim_of_two_types):
        plan = await verb(live_storage)
        assert plan.indexes_used() <= {*PRIMARY_KEYS, OF_TYPES, "job_ready"}
        assert plan.tables_read_whole() <= {"job_type"}


async def test_a_heartbeat_touches_no_index(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await given_backlog(live_storage, postgres_url, 0)
    leases = [held.lease for held in await given_held(live_storage)]
    before = await _updates(live_storage)
    for _ in range(10):
        await live_storage.jobs(NAMESPACE).heartbeat(leases, lease=LEASE)
    everything, heap_only = [now - was for now, was in zip(await _updates(live_storage), before, strict=True)]
    assert everything == 10 * BATCH
    assert heap_only >= 0.85 * everything


async def _updates(storage: PostgresStorage) -> tuple[int, int]:
    """Rows of the job table that were updated so far, and those that needed no new index entry."""
    # The counts of a connection are published when it is asked to, or seconds later: the pool has one connection here.
    await storage.database.select(numbered("select pg_stat_force_next_flush()"))
    [row] = await storage.database.select(
        numbered(
            "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = cast('dataqueue.job' as regclass)"
        )
    )
    return row.n_tup_upd, row.n_tup_hot_upd
