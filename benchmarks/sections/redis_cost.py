"""What a verb costs the one thread of Redis, and how much room a job takes; empty, and behind a great many jobs."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.processes import say
from benchmarks.redis_ground import RedisGround
from benchmarks.redis_looking import ServerLook
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventFilter
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Failure, JobStatus, Json, Lease, NewJob
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage

_CHUNK: Final = 1000
_BATCH: Final = 100
_CLAIM: Final = 50
_LEASE: Final = timedelta(minutes=5)
_GOAL_US: Final = 5000
_GOAL_BYTES: Final = 2048
_WEIGHED: Final = 50_000
_PAYLOAD: Final = Json('{"text":"' + "x" * 189 + '"}')
_AT_ONCE: Final = Retention(completed=timedelta(), failed=timedelta(), cancelled=timedelta())
_TAGS: Final = ("env:prod", "region:eu")
_PAGES: Final = {
    "no filter": JobFilter(),
    "status pending": JobFilter(statuses=(JobStatus.PENDING,)),
    "status completed": JobFilter(statuses=(JobStatus.COMPLETED,)),
    "type and status": JobFilter(job_types=("other",), statuses=(JobStatus.PENDING,)),
    "two tags": JobFilter(tags=_TAGS),
    "type, priority and two tags": JobFilter(job_types=("noop",), tags=_TAGS, priority=0),
}


async def measure(ground: RedisGround, *, quick: bool) -> list[Figure]:
    """Claims and memory in an empty place, then everything behind the backlog."""
    backlog = 90_000 if quick else 999_000
    url = await ground.database()
    storage = open_storage(url, pool_size=2)
    async with ground.connected(url) as client:
        look = ServerLook(client)
        empty = await look.commands(lambda: _claim_some(storage), before=lambda: _add(storage, _CLAIM))
        weight = await _weight(storage, client)
        await client.flushdb()
        started = time.perf_counter()
        await _fill(storage, backlog // 3)
        say(f"redis_cost: {backlog:,} jobs in {time.perf_counter() - started:.0f} s")
        await ground.settle(url)
        behind = await look.commands(lambda: _claim_some(storage), before=lambda: _add(storage, _CLAIM))
        longest = await look.longest(lambda: _every_verb(storage))
        pages = [
            await _page(look, storage, what, matching, limit)
            for what, matching in _PAGES.items()
            for limit in (50, 1000)
        ]
        memory = (await client.info("memory"))["used_memory"] / backlog
    await storage.close()
    await ground.drop(url)
    return [
        Figure(
            what=f"commands of a claim of {_CLAIM}, behind {backlog:,} jobs of other types, scheduled, completed",
            value=str(behind),
            reference=f"empty queue: {empty}",
            ratio=behind / empty,
            goal="as many",
            met=behind == empty,
        ),
        Figure(
            what="bytes a pending job with a payload of 200 bytes, its event with it",
            value=f"{weight:,.0f}",
            reference=f"mean of the backlog, {len(_TAGS)} tags, no payload: {memory:,.0f}",
            goal=f"at most {_GOAL_BYTES:,}",
            met=weight <= _GOAL_BYTES,
        ),
        *(
            Figure(
                what=f"longest script of {verb}, µs",
                value=f"{spent:,}",
                goal=f"at most {_GOAL_US:,}",
                met=spent <= _GOAL_US,
            )
            for verb, spent in sorted(longest.items())
        ),
        *pages,
    ]


async def _add(storage: Storage, count: int, **fields: Any) -> None:
    for first in range(0, count, _CHUNK):
        made = [
            NewJob(**{"id": new_id(), "job_type": "noop", "tags": _TAGS, **fields})
            for _ in range(min(_CHUNK, count - first))
        ]
        await storage.jobs("default").enqueue([made])


async def _claim(storage: Storage, limit: int) -> list[ClaimedJob]:
    return await storage.jobs("default").claim(["noop"], limit=limit, worker_id="bench", lease=_LEASE)


async def _claim_some(storage: Storage) -> None:
    claimed = await _claim(storage, _CLAIM)
    assert len(claimed) == _CLAIM, f"{len(claimed)} jobs were claimed"


async def _fill(storage: Storage, each: int) -> None:
    """Jobs of another type, scheduled ones and completed ones."""
    await _add(storage, each)
    while claimed := await _claim(storage, _CHUNK):
        await storage.jobs("default").complete(_leases(claimed), outputs=[None] * len(claimed))
    await _add(storage, each, job_type="other")
    await _add(storage, each, delay=timedelta(days=30))


async def _weight(storage: Storage, client: Any) -> float:
    await client.flushdb()
    before = (await client.info("memory"))["used_memory"]
    await _add(storage, _WEIGHED, payload=_PAYLOAD, tags=())
    return float((await client.info("memory"))["used_memory"] - before) / _WEIGHED


async def _every_verb(storage: Storage) -> None:
    """Each with as many jobs as are usual at once."""
    jobs, noop = storage.jobs("default"), JobFilter(job_types=("noop",), statuses=(JobStatus.PENDING,))
    failure = Failure(message="no answer", type="TimeoutError", retry_after=timedelta(hours=1))
    await _add(storage, 5 * _CHUNK)
    await jobs.enqueue([[NewJob(id=new_id(), job_type="noop", tags=_TAGS)] for _ in range(_CHUNK)])
    held = await _claim(storage, 5 * _BATCH)
    pieces = [_leases(held[first : first + _BATCH]) for first in range(0, len(held), _BATCH)]
    await jobs.heartbeat(pieces[0], lease=_LEASE)
    await jobs.complete(pieces[0], outputs=[_PAYLOAD] * _BATCH)
    await jobs.fail(pieces[1], failures=[failure] * _BATCH)
    await jobs.release(pieces[2])
    await jobs.recall("bench", known=pieces[4])
    await jobs.abandon(pieces[4])
    await storage.upkeep.reclaim(limit=_CHUNK, max_crashes=3)
    page = [job.id for job in (await jobs.page(noop, before=None, limit=_CHUNK)).jobs]
    await jobs.edit(page, JobEdit(priority=7))
    await jobs.cancel(page)
    await jobs.retry(page)
    await jobs.cancel(page)
    await jobs.delete(page)
    for verb in (Verb.EDIT, Verb.CANCEL):
        edit = JobEdit(priority=9) if verb is Verb.EDIT else None
        await jobs.sweep(verb, noop, before=None, limit=_CHUNK, edit=edit)
    await _add(storage, _CHUNK, delay=timedelta(milliseconds=1))
    await storage.upkeep.stage(limit=_CHUNK)
    await storage.upkeep.prune(_AT_ONCE, limit=_CHUNK)
    await storage.upkeep.prune_events(keep=timedelta(days=30))
    await storage.tally("default").stats()
    await storage.tally("default").tags(prefix="", after=None, limit=_CHUNK)
    await storage.job_types("default").page(after=None, limit=_CHUNK)
    log = storage.events("default")
    bounds = await log.bounds()
    await log.page(EventFilter(), after=bounds.oldest, until=bounds.newest, limit=_CHUNK)
    await log.page(EventFilter(tags=("nobody",)), after=bounds.oldest, until=bounds.newest, limit=_CHUNK)


def _leases(claimed: list[ClaimedJob]) -> list[Lease]:
    return [Lease(job.id, job.invocation) for job in claimed]


async def _page(look: ServerLook, storage: Storage, what: str, matching: JobFilter, limit: int) -> Figure:
    jobs = storage.jobs("default")

    async def read() -> None:
        await jobs.page(matching, before=None, limit=limit)

    page = await jobs.page(matching, before=None, limit=limit)
    commands = await look.commands(read, before=read)
    scripts = len(await look.scripts(read))
    longest = (await look.longest(read))["jobs/page"]
    return Figure(
        what=f"a page: {what}, limit {limit:,}",
        value=f"{longest:,} µs the longest of {scripts} scripts; {commands:,} commands",
        reference=f"{len(page.jobs)} jobs",
        goal=f"a script at most {_GOAL_US:,} µs",
        met=longest <= _GOAL_US,
    )
