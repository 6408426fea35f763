"""What a page of jobs costs in a full namespace: buffers of all its statements, by filter and by usual combinations.

A page is read as the API reads it, through the store; each statement it makes is explained and then executed. It is
read before it is measured, so that nothing is seen for the first time.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

import asyncpg

from benchmarks.figures import Figure
from benchmarks.plans import explained_query
from benchmarks.population import DAYS, cron_id, populate
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import say
from dataqueue.domain.filters import JobFilter, Position, Range, TagMode
from dataqueue.domain.job import JobStatus
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.statements import Statement

_LIMITS: Final = (50, 1000)
_PER_ROW: Final = 4
_BESIDES: Final = 100

_COMMON_TAG: Final = "env:prod"
_LESS_COMMON_TAG: Final = "env:staging"
_CUSTOMER: Final = "customer:7"
_RARE_TAG: Final = "customer:98765"
_BIG_TYPE: Final = "type.0"
_SMALL_TYPE: Final = "type.150"


class Listed(NamedTuple):
    """One page: what it found, and what that cost."""

    what: str
    limit: int
    rows: int
    is_cut: bool
    buffers: int
    statements: int
    milliseconds: float
    plans: list[str]

    @property
    def most(self) -> int:
        return _PER_ROW * self.rows + _BESIDES

    @property
    def explanation(self) -> str:
        plans = "\n".join(f"statement {number}:\n{plan}" for number, plan in enumerate(self.plans, 1))
        return f"\n{self.what}, limit {self.limit}: {self.rows} rows, {self.buffers:,} buffers\n{plans}"

    @property
    def is_met(self) -> bool:
        return self.buffers <= self.most


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """Fill a namespace, then read pages of it."""
    jobs = 200_000 if quick else 5_000_000
    url = await ground.database()
    async with ground.connected(url) as connection:
        started = time.perf_counter()
        await populate(connection, jobs=jobs)
        say(f"lists: {jobs:,} jobs in {time.perf_counter() - started:,.0f} s")
    found = await pages(ground, url)
    for each in found:
        if not each.is_met:
            print(each.explanation)
    await ground.drop(url)
    return [figure_of(each) for each in found]


async def pages(ground: PostgresGround, url: str) -> list[Listed]:
    """Each page, in a namespace that was filled before."""
    storage = open_storage(url, pool_size=2)
    try:
        async with ground.connected(url) as connection:
            middle = await _middle(connection)
            return [
                await _listed(connection, storage, what, matching, limit=limit, before=before)
                for what, matching, before in _filters(middle)
                for limit in _LIMITS
            ]
    finally:
        await storage.close()


def _filters(middle: Position) -> Iterator[tuple[str, JobFilter, Position | None]]:
    now = datetime.now(UTC)
    day, hour = timedelta(days=1), timedelta(hours=1)
    yesterday = Range(gte=now - 2 * day, lt=now - day)
    long_ago = Range(gte=now - DAYS / 2 * day, lt=now - (DAYS / 2 - 1) * day)

    def case(what: str, before: Position | None = None, **fields: Any) -> tuple[str, JobFilter, Position | None]:
        return what, JobFilter(**fields), before

    yield case("no filter")
    yield case("no filter, from the middle", middle)
    for status in JobStatus:
        yield case(f"status {status}", statuses=(status,))
    yield case("status completed, from the middle", middle, statuses=(JobStatus.COMPLETED,))
    yield case("status pending, from the middle", middle, statuses=(JobStatus.PENDING,))
    yield case("status failed or cancelled", statuses=(JobStatus.FAILED, JobStatus.CANCELLED))
    yield case("type, big", job_types=(_BIG_TYPE,))
    yield case("type, big, from the middle", middle, job_types=(_BIG_TYPE,))
    yield case("type, small", job_types=(_SMALL_TYPE,))
    yield case("type, rare", job_types=("type.rare",))
    yield case("type, unknown", job_types=("type.unknown",))
    yield case("types, three", job_types=(_BIG_TYPE, _SMALL_TYPE, "type.rare"))
    yield case("priority 0", priority=0)
    yield case("priority 10", priority=10)
    yield case("priority 32000, rare", priority=32000)
    yield case("group, big", group_id="group:0")
    yield case("group, small", group_id="group:9000")
    yield case("cron, busy", cron_id=cron_id(0))
    yield case("cron, quiet", cron_id=cron_id(19))
    yield case("tag, common", tags=(_COMMON_TAG,))
    yield case("tag, common, from the middle", middle, tags=(_COMMON_TAG,))
    yield case("tag, customer", tags=(_CUSTOMER,))
    yield case("tag, rare", tags=(_RARE_TAG,))
    yield case("tag, campaign long ago", tags=("campaign:3",))
    yield case("tags, all of common and customer", tags=(_COMMON_TAG, _CUSTOMER))
    yield case("tags, all of two common that never meet", tags=(_COMMON_TAG, _LESS_COMMON_TAG))
    for mode in (TagMode.EXACT, TagMode.ANY, TagMode.NONE):
        yield case(f"tag common, mode {mode}", tags=(_COMMON_TAG,), tag_mode=mode)
        yield case(f"tags common and customer, mode {mode}", tags=(_COMMON_TAG, _CUSTOMER), tag_mode=mode)
    yield case("created_at, a day", created_at=yesterday)
    yield case("created_at, a day long ago", created_at=long_ago)
    yield case("created_at, before a month", created_at=Range(lt=now - 2 * DAYS * day))
    yield case("created_at eq", created_at=Range(eq=middle.created_at))
    yield case("run_at, in the next hour", run_at=Range(gte=now, lt=now + hour))
    yield case("run_at, from now on", run_at=Range(gt=now))
    yield case("run_at, yesterday", run_at=yesterday)
    yield case("run_at, a day long ago", run_at=long_ago)
    yield case("run_at, in ten years", run_at=Range(gt=now + 3650 * day))
    yield case("status+type, pending of big", statuses=(JobStatus.PENDING,), job_types=(_BIG_TYPE,))
    yield case("status+type, failed of small", statuses=(JobStatus.FAILED,), job_types=(_SMALL_TYPE,))
    yield case("status+type, processing of big", statuses=(JobStatus.PROCESSING,), job_types=(_BIG_TYPE,))
    yield case("tag+status, common and failed", tags=(_COMMON_TAG,), statuses=(JobStatus.FAILED,))
    yield case("tag+status, common and pending", tags=(_COMMON_TAG,), statuses=(JobStatus.PENDING,))
    yield case("tag+status, common and waiting", tags=(_COMMON_TAG,), statuses=(JobStatus.WAITING,))
    yield case("tag+status, customer and failed", tags=(_CUSTOMER,), statuses=(JobStatus.FAILED,))
    yield case("tag+type, common and small", tags=(_COMMON_TAG,), job_types=(_SMALL_TYPE,))
    yield case("type+created_at, a day of big", job_types=(_BIG_TYPE,), created_at=yesterday)
    yield case("type+created_at, a day of small long ago", job_types=(_SMALL_TYPE,), created_at=long_ago)
    yield case("priority+status, 10 and pending", priority=10, statuses=(JobStatus.PENDING,))
    yield case("priority+status, 0 and failed", priority=0, statuses=(JobStatus.FAILED,))
    yield case("priority+status, -5 and failed", priority=-5, statuses=(JobStatus.FAILED,))
    yield case("group+status, big and failed", group_id="group:0", statuses=(JobStatus.FAILED,))
    for status in (JobStatus.PENDING, JobStatus.FAILED):
        yield case(f"run_at+status, next day and {status}", run_at=Range(gte=now, lt=now + day), statuses=(status,))
        yield case(f"run_at+status, yesterday and {status}", run_at=yesterday, statuses=(status,))
    yield case("run_at+type, from now on of small", run_at=Range(gt=now), job_types=(_SMALL_TYPE,))


async def _middle(connection: asyncpg.Connection) -> Position:
    middle = await connection.fetchrow(
        "select created_at, seq from dataqueue.job_spec where namespace_id = 1 and created_at <"
        f" now() - interval '{DAYS // 2} days' order by created_at desc, seq desc limit 1"
    )
    return Position(middle["created_at"], middle["seq"])


async def _listed(
    connection: asyncpg.Connection,
    storage: Storage,
    what: str,
    matching: JobFilter,
    *,
    limit: int,
    before: Position | None,
) -> Listed:
    jobs = storage.jobs("default")
    await jobs.page(matching, before=before, limit=limit)
    started = time.perf_counter()
    await jobs.page(matching, before=before, limit=limit)
    milliseconds = (time.perf_counter() - started) * 1000
    # There is one backend whose statements can be explained.
    async with _explaining(connection, cast(Any, storage).database) as plans:
        page = await jobs.page(matching, before=before, limit=limit)
    return Listed(
        what=what,
        limit=limit,
        rows=len(page.jobs),
        is_cut=page.next is not None and len(page.jobs) < limit,
        buffers=sum(plan.buffers for plan in plans),
        statements=len(plans),
        milliseconds=milliseconds,
        plans=[plan.plan for plan in plans],
    )


@asynccontextmanager
async def _explaining(connection: asyncpg.Connection, database: Database) -> AsyncIterator[list[Any]]:
    """While the block runs, every query put together for a filter is explained before it is executed."""
    plans: list[Any] = []
    select_on = database.select_on

    async def select_explained(own: asyncpg.Connection, query: Statement, **parameters: object) -> list[Row]:
        plans.append(await explained_query(connection, query, **{"at": None, **parameters}))
        return await select_on(own, query, **parameters)

    setattr(database, "select_on", select_explained)  # noqa: B010 - mypy refuses the assignment
    yield plans
    setattr(database, "select_on", select_on)  # noqa: B010


def figure_of(listed: Listed) -> Figure:
    cut = ", cut: more may follow" if listed.is_cut else ""
    per_row = f", {listed.buffers / listed.rows:.1f} a row" if listed.rows else ""
    return Figure(
        what=f"{listed.what}, limit {listed.limit}",
        value=f"{listed.buffers:,} buffers for {listed.rows} rows{per_row}{cut}",
        reference=f"{listed.statements} statements, {listed.milliseconds:.1f} ms",
        goal=f"at most {listed.most:,}",
        met=listed.is_met,
    )
