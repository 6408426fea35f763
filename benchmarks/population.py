"""A namespace in use for a month: many jobs of every kind, laid down by SQL as API and workers would have left them.

Most jobs are completed; what is open is mostly new. Types, customers and groups are few big ones and many small ones.
Tags are of three kinds: one of many customers, one of two environments, one of a campaign that lasted a day.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import md5
from typing import Final
from uuid import UUID

import asyncpg

DAYS: Final = 30
_CHUNK: Final = 500_000
_TABLES: Final = ("job", "job_spec", "job_tag", "job_result")

_TYPES: Final = """
    insert into dataqueue.job_type (namespace_id, name)
    select 1, 'type.' || n from generate_series(0, 199) as n union all select 1, 'type.rare'"""

# r1 … r8 decide one thing each; `age` is how much of the month has passed by then, of 1.
_MADE: Final = """
    create temporary table made as
    with drawn as materialized (
        select n, floor(n / 5.0) * 5 / {jobs} as age, random() as r1, random() as r2, random() as r3, random() as r4,
            random() as r5, random() as r6, random() as r7, random() as r8
        from generate_series({start}, {end} - 1) as n
    ), placed as materialized (
        select *, now() - make_interval(secs => {month} * (1 - age)) as created_at,
            case when n % 100000 = 77 then 200 else floor(200 * r1 ^ 3)::int end as type_number,
            case when age > 0.99 then case
                when r2 < 0.40 then 'pending' when r2 < 0.42 then 'processing' when r2 < 0.47 then 'waiting'
                when r2 < 0.97 then 'completed' when r2 < 0.99 then 'failed' else 'cancelled' end
            else case
                when r2 < 0.005 then 'pending' when r2 < 0.008 then 'waiting' when r2 < 0.965 then 'completed'
                when r2 < 0.99 then 'failed' else 'cancelled' end
            end as status
        from drawn
    )
    select dataqueue.uuid7() as id, nextval('dataqueue.job_seq') as seq, t.id as job_type_id, status, p.created_at,
        case when r3 < 0.90 then 0 when r3 < 0.95 then -10 when r3 < 0.99 then 5
            when r3 < 0.9999 then -100 else -32000 end as rank,
        case when status = 'pending' and age <= 0.99 then now() + make_interval(secs => {month} * r4)
            when r4 < 0.8 then p.created_at
            when r4 < 0.95 or status = 'completed' then p.created_at + make_interval(secs => 3600 * r5)
            else p.created_at + make_interval(secs => {month} / 2 * r5) end as run_at,
        case when r6 < 0.30 then array_remove(array[
            'customer:' || floor(100000 * r7 ^ 3)::int,
            case when r8 < 0.5 then 'env:prod' when r8 < 0.6 then 'env:staging' end,
            case when r8 > 0.9 then 'campaign:' || floor(age * {days})::int end], null) end as tags,
        case when r6 > 0.90 then 'group:' || floor(10000 * r7 ^ 2)::int end as group_id,
        case when r6 between 0.5 and 0.52 then cast(md5('cron' || floor(20 * r7 ^ 2)::int) as uuid) end as cron_id,
        r5, r8
    from placed p join dataqueue.job_type t on t.namespace_id = 1
        and t.name = 'type.' || case type_number when 200 then 'rare' else type_number::text end
    order by n"""

_LAID: Final = (
    """
    insert into dataqueue.job (id, seq, namespace_id, job_type_id, rank, status, pending_reason, run_at, wake_at,
        attempts, invocation, worker_id, locked_at, lease_expires_at, started_at, ended_at, updated_at, created_at,
        tagged)
    select id, seq, 1, job_type_id, rank, status,
        case when status = 'pending' and run_at > now() then 'scheduled' end, run_at,
        case when status = 'pending' and run_at > now() then run_at
            when status = 'waiting' then now() + make_interval(days => 1) end,
        cast(status <> 'pending' as int), cast(status <> 'pending' as int),
        case when status = 'processing' then 'worker-' || floor(20 * r8)::int end,
        case when status = 'processing' then now() end,
        case when status = 'processing' then now() + make_interval(secs => 30) end,
        case when status not in ('pending', 'cancelled') then run_at end,
        case when status in ('completed', 'failed', 'cancelled') then run_at + make_interval(secs => 60 * r5) end,
        least(now(), run_at + make_interval(secs => 60 * r5)), created_at, tags is not null
    from made order by seq""",
    """
    insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, tags, group_id, cron_id,
        created_at, rank)
    select id, 1, job_type_id, seq, '{"to":"ada@example.com","template":"welcome","number":42}', tags, group_id,
        cron_id, created_at, rank
    from made order by seq""",
    """
    insert into dataqueue.job_tag (namespace_id, tag, seq, job_id, created_at)
    select 1, tag, seq, id, created_at from made, unnest(tags) as tag""",
    """
    insert into dataqueue.job_result (id, output, failure_reason, error_history)
    select id, case when status = 'completed' then '{"message_id":"m-17"}'::json end,
        case when status = 'failed' then 'handler_error' end,
        case when status = 'failed' then '[{"message":"no answer","type":"TimeoutError","attempt":1}]'::jsonb end
    from made where status = 'failed' or status = 'completed' and r8 < 0.2""",
    "drop table made",
)
_BY_STATUS: Final = ", ".join(
    f"count(*) filter (where j.status = '{status}') as {status}"
    for status in ("pending", "processing", "waiting", "completed", "failed", "cancelled")
)
_COUNTED: Final = (
    f"""
    insert into dataqueue.type_count (namespace_id, job_type_id, pending, processing, waiting, completed, failed,
        cancelled)
    select 1, j.job_type_id, {_BY_STATUS} from dataqueue.job j group by j.job_type_id""",
    f"""
    insert into dataqueue.tag_count (namespace_id, tag, pending, processing, waiting, completed, failed, cancelled)
    select 1, t.tag, {_BY_STATUS} from dataqueue.job_tag t join dataqueue.job j on j.id = t.job_id group by t.tag""",
)


async def populate(connection: asyncpg.Connection, *, jobs: int) -> None:
    """Put so many jobs into the empty default namespace, counts and statistics included. The same each time."""
    await connection.execute("set synchronous_commit = off")
    await connection.execute("set maintenance_work_mem = '512MB'")
    await connection.execute("select setseed(0.5)")
    await connection.execute(_TYPES)
    async with _bare(connection):
        for start in range(0, jobs, _CHUNK):
            end = min(start + _CHUNK, jobs)
            made = _MADE.format(start=start, end=end, jobs=jobs, month=f"{DAYS * 86_400}::float8", days=DAYS)
            for each in (made, *_LAID):
                await connection.execute(each)
        for each in _COUNTED:
            await connection.execute(each)
    await connection.execute("vacuum analyze")
    await connection.execute("checkpoint")


def cron_id(number: int) -> UUID:
    """That of one of twenty crons, the busiest first."""
    return UUID(md5(b"cron%d" % number, usedforsecurity=False).hexdigest())


@asynccontextmanager
async def _bare(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """The tables without triggers, and without the indexes that can be made afterwards: several times faster."""
    indexes = await connection.fetch(
        "select format('dataqueue.%I', indexname) as name, indexdef from pg_indexes"
        " where schemaname = 'dataqueue' and tablename = any($1) and indexdef not like 'CREATE UNIQUE%'",
        list(_TABLES),
    )
    for index in indexes:
        await connection.execute(f"drop index {index['name']}")
    await connection.execute("alter table dataqueue.job disable trigger user")
    yield
    await connection.execute("alter table dataqueue.job enable trigger user")
    for index in indexes:
        await connection.execute(index["indexdef"])
