"""What lists and bulk changes cost in Redis, and that they go on exactly where they were, between scripts too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter, Range, TagMode
from dataqueue.domain.job import Job, JobStatus, Json
from dataqueue.domain.lifecycle import Verb
from dataqueue.storage.answers import JobPage
from dataqueue.storage.port import Storage
from dataqueue.storage.redis import changes, pages
from dataqueue.storage.redis.server import Server
from tests.redis_servers import RedisServer
from tests.storage.given import HOUR, NAMESPACE, SECOND, claim, given_job, new_job
from tests.storage.test_filters import walked

PENDING: Final = (JobStatus.PENDING,)
A_JOB: Final = 6
"""Commands that a job of a page may take."""
AROUND: Final = 60
"""Commands that a page may take besides."""


def commands(redis: RedisServer) -> int:
    """How many commands were run, those of scripts among them."""
    said: dict[str, Any] = redis.client.info("commandstats")
    return sum(one["calls"] for name, one in said.items() if name not in ("cmdstat_info", "cmdstat_config|resetstat"))


async def cost_of(redis: RedisServer, page: Callable[[], Awaitable[JobPage]]) -> tuple[JobPage, int]:
    await page()  # the script is known from now on
    before = commands(redis)
    return await page(), commands(redis) - before


async def test_what_a_list_excludes_costs_a_page_nothing(
    storage: Storage, clock: ManualClock, redis: RedisServer
) -> None:
    jobs = storage.jobs(NAMESPACE)
    wanted = [new_job(job_type="mail", tags=("a", "b"), priority=5, delay=3 * HOUR) for _ in range(20)]
    await jobs.enqueue([wanted])
    filters = {
        "type": JobFilter(job_types=("mail",)),
        "type and status": JobFilter(job_types=("mail", "none"), statuses=(*PENDING, JobStatus.FAILED)),
        "tag": JobFilter(tags=("a",)),
        "any tag": JobFilter(tags=("a", "b"), tag_mode=TagMode.ANY),
        "rare and common tag": JobFilter(tags=("common", "a")),
        "exact tags": JobFilter(tags=("a", "b", "common"), tag_mode=TagMode.EXACT),
        "priority": JobFilter(priority=5),
        "priority and status": JobFilter(priority=5, statuses=PENDING),
        "run_at": JobFilter(run_at=Range(gt=clock.now() + HOUR)),
        "run_at and status": JobFilter(run_at=Range(gt=clock.now() + HOUR), statuses=PENDING),
        "status": JobFilter(statuses=(JobStatus.PROCESSING, JobStatus.FAILED)),
        "created_at": JobFilter(created_at=Range(lte=clock.now())),
    }
    nothing = ("status", "exact tags", "rare and common tag")

    async def costs() -> dict[str, int]:
        found = {}
        for name, matching in filters.items():
            page, cost = await cost_of(redis, lambda matching=matching: jobs.page(matching, before=None, limit=10))  # type: ignore[misc]
            assert cost <= A_JOB * 20 + AROUND, name
            assert len(page.jobs) == (0 if name in nothing else 10), name
            found[name] = cost
        return found

    clock.advance(SECOND)
    others = {"job_type": "other", "tags": ("common", "c")}
    await jobs.enqueue([[new_job(**others) for _ in range(100)]])
    few = await costs()
    for _ in range(100):
        await jobs.enqueue([[new_job(**others) for _ in range(1000)]])
    many = await costs()
    assert {name: many[name] - few[name] for name in filters if many[name] > few[name] + 5} == {}


@pytest.mark.parametrize(
    "matching",
    [
        JobFilter(),
        JobFilter(statuses=PENDING),
        JobFilter(job_types=("a", "b")),
        JobFilter(tags=("x", "y"), tag_mode=TagMode.ANY),
        JobFilter(run_at=Range(gt=ManualClock().now() - HOUR)),
        JobFilter(tags=("z",), tag_mode=TagMode.NONE),
    ],
    ids=str,
)
async def test_jobs_of_one_instant_are_met_once_each_and_a_page_among_them_costs_what_others_do(
    storage: Storage, redis: RedisServer, matching: JobFilter
) -> None:
    jobs = storage.jobs(NAMESPACE)
    made = [
        new_job(job_type="ab"[n % 2], tags=("x", "y") if n % 3 else ("x",), delay=HOUR if n % 5 else None)
        for n in range(1000)
    ]
    await jobs.enqueue([made])
    met: list[Job] = []
    page = JobPage([], None)
    while not met or page.next:
        page, cost = await cost_of(redis, lambda before=page.next: jobs.page(matching, before=before, limit=50))  # type: ignore[misc]
        assert cost <= A_JOB * 50 + 200
        met += page.jobs
    assert [job.id for job in met] == [job.id for job in made[::-1]]


@pytest.mark.parametrize("happens", ["jobs are added", "jobs are cancelled"])
async def test_a_walk_meets_each_job_that_stays_once_whatever_happens_between_its_scripts(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    monkeypatch.setattr(pages, "_OF_A_SCRIPT", 3)
    jobs = storage.jobs(NAMESPACE)
    made = [new_job(job_type="mail", priority=0 if n % 5 else 5) for n in range(40)]
    await jobs.enqueue([made])
    common = [job.id for job in made if not job.priority]

    async def happen() -> None:
        if happens == "jobs are added":
            await jobs.enqueue([[new_job(job_type="mail", priority=5) for _ in range(4)]])
        elif common:
            await jobs.cancel([common.pop()])

    rare = JobFilter(statuses=PENDING, priority=5, tags=("none",), tag_mode=TagMode.NONE)
    after_each_script(monkeypatch, "jobs/page", happen)
    found = [job.id for job in await walked(storage, rare, limit=6)]
    assert found == [job.id for job in made[::-1] if job.priority == 5]


def after_each_script(monkeypatch: pytest.MonkeyPatch, verb: str, happen: Callable[[], Awaitable[None]]) -> None:
    """Have something happen after each script of that name."""
    run = Server.run

    async def run_and_then(self: Server, asked: str, namespace: str, /, *arguments: Any) -> Any:
        answer = await run(self, asked, namespace, *arguments)
        if asked == verb:
            await happen()
        return answer

    monkeypatch.setattr(Server, "run", run_and_then)


async def test_a_page_gives_up_after_so_many_jobs_and_the_next_goes_on_there(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_OF_A_SCRIPT", 5)
    monkeypatch.setattr(pages, "_MOST_LOOKED_AT", 20)
    jobs = storage.jobs(NAMESPACE)
    oldest = await given_job(storage, tags=("a",))
    await jobs.enqueue([[new_job(tags=("b",)) for _ in range(50)]])
    without = JobFilter(tags=("b",), tag_mode=TagMode.NONE)
    page = await jobs.page(without, before=None, limit=10)
    assert page.jobs == []
    assert page.next is not None
    assert await walked(storage, without, limit=10) == [oldest]


@pytest.mark.parametrize("of_a_script", [1, 700, 10_000])
@pytest.mark.parametrize("matching", [JobFilter(), JobFilter(priority=5), JobFilter(tags=("a",))], ids=str)
async def test_a_page_ends_where_it_becomes_large_and_the_next_goes_on_there(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, matching: JobFilter, of_a_script: int
) -> None:
    monkeypatch.setattr(pages, "_LARGEST", 1000)
    monkeypatch.setattr(pages, "_LARGEST_OF_A_SCRIPT", of_a_script)
    large, small = Json('"' + "x" * 700 + '"'), Json("{}")
    made = [
        new_job(job_type="mail", priority=5, tags=("a",), payload=payload)
        for payload in (small, small, large, large, small, large, *[small] * 5)
    ]
    await storage.jobs(NAMESPACE).enqueue([made])
    sizes: list[int] = []
    page = JobPage([], None)
    while not sizes or page.next is not None:
        page = await storage.jobs(NAMESPACE).page(matching, before=page.next, limit=10)
        sizes.append([job.payload for job in page.jobs].count(large))
        assert [job.id for job in page.jobs] == [job.id for job in made[::-1][: len(page.jobs)]]
        made = made[: -len(page.jobs)]
    assert (made, sizes) == ([], [2, 1])


async def test_a_job_that_is_larger_than_a_page_is_one(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LARGEST", 1)
    made = [new_job(payload=Json("[1,2]")) for _ in range(3)]
    await storage.jobs(NAMESPACE).enqueue([made])
    page = await storage.jobs(NAMESPACE).page(JobFilter(), before=None, limit=10)
    assert [job.id for job in page.jobs] == [made[-1].id]
    assert [job.id for job in await walked(storage, JobFilter(), limit=10)] == [job.id for job in made[::-1]]


async def test_a_batch_of_a_sweep_is_one_act_whatever_is_asked_for(storage: Storage) -> None:
    """So nothing is unknown of it when the next one fails."""
    jobs = storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(tags=("a",)) for _ in range(75)]])
    everything = JobFilter()
    first = await jobs.sweep(Verb.CANCEL, everything, before=None, limit=1000)
    second = await jobs.sweep(Verb.CANCEL, everything, before=first.next, limit=1000)
    assert [(one.matched, one.changed) for one in (first, second)] == [(50, 50), (25, 25)]
    assert second.next is None


async def test_a_batch_goes_over_what_does_not_match_but_not_for_ever(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_OF_A_SCRIPT", 5)
    jobs = storage.jobs(NAMESPACE)
    await given_job(storage, tags=("a",))
    await jobs.enqueue([[new_job(tags=("b",)) for _ in range(50)]])
    without = JobFilter(tags=("b",), tag_mode=TagMode.NONE)
    found = await jobs.sweep(Verb.CANCEL, without, before=None, limit=10)
    assert (found.matched, found.changed) == (0, 0)
    assert found.next is not None
    found = await jobs.sweep(Verb.CANCEL, without, before=found.next, limit=10)
    assert (found.matched, found.changed, found.next) == (1, 1, None)


async def test_a_sweep_that_deletes_every_job_leaves_none_of_their_keys(storage: Storage, redis: RedisServer) -> None:
    jobs = storage.jobs(NAMESPACE)
    made = [new_job(tags=("a", f"t{n}"), priority=n, delay=HOUR, idempotency_key=f"k{n}") for n in range(150)]
    await jobs.enqueue([made])
    for verb in (Verb.CANCEL, Verb.DELETE):
        before = None
        while (before := (await jobs.sweep(verb, JobFilter(), before=before, limit=1000)).next) is not None:
            pass
    left = {key.decode().removeprefix("{dq:default}:") for key in redis.client.keys("{dq:default}*")}
    assert {name.partition(":")[0] for name in left} <= {"events", "gone", "log", "minute", "minutes"}


async def test_the_glance_takes_in_any_number_of_types_and_ranks(storage: Storage, clock: ManualClock) -> None:
    jobs = storage.jobs(NAMESPACE)
    types = [f"t{n:03}" for n in range(450)]
    clock.advance(-timedelta(minutes=1))
    await jobs.enqueue([[new_job(job_type=types[-1], priority=-600)]])
    clock.advance(timedelta(minutes=1))
    await jobs.enqueue([[new_job(job_type=types[-1], priority=-n) for n in range(500)]])
    await jobs.enqueue([[new_job(job_type=name) for name in types]])
    await claim(jobs, types[0])
    stats = await storage.tally(NAMESPACE).stats()
    assert list(stats.by_type) == types
    assert sum(stats.by_status.values()) == sum(sum(one.values()) for one in stats.by_type.values()) == 951
    assert stats.by_status[JobStatus.PROCESSING] == 1
    assert stats.oldest_ready_age == 60
    await jobs.enqueue([[new_job(job_type=types[-1], priority=n) for n in range(600)]])
    assert (await storage.tally(NAMESPACE).stats()).oldest_ready_age == 0, "a thousand types and ranks are looked at"
