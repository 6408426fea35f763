"""What each filter of a list finds: every one alone and in company, judged by a model that looks at each job."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter, Range, TagMode
from dataqueue.domain.job import Job, JobStatus
from dataqueue.ids import new_id
from dataqueue.storage.answers import JobPage
from dataqueue.storage.port import Storage
from tests.storage.given import FOR_GOOD, HOUR, NAMESPACE, SECOND, claim, given_job, new_job

TAGS: Final = ("a", "b", "c", "A", "ä", '"', "{x,y}", "\\")
TYPES: Final = ("mail", "report", "thumb/nail")
_HOLDS: Final[dict[str, Callable[[datetime, datetime], bool]]] = {
    "gt": datetime.__gt__,
    "gte": datetime.__ge__,
    "lt": datetime.__lt__,
    "lte": datetime.__le__,
    "eq": datetime.__eq__,
}


def matches(job: Job, matching: JobFilter) -> bool:
    """The model: the contract's words, one job at a time."""
    own, asked = set(job.tags), set(matching.tags)
    by_tags = {
        TagMode.EXACT: own == asked,
        TagMode.ALL: own >= asked,
        TagMode.ANY: bool(own & asked),
        TagMode.NONE: not own & asked,
    }
    return (
        (not matching.statuses or job.status in matching.statuses)
        and (not matching.job_types or job.job_type in matching.job_types)
        and (matching.priority is None or job.priority == matching.priority)
        and (matching.group_id is None or job.group == {"id": matching.group_id})
        and (not matching.tags or by_tags[matching.tag_mode])
        and (matching.cron_id is None or job.cron_id == matching.cron_id)
        and _within(job.run_at, matching.run_at)
        and _within(job.created_at, matching.created_at)
    )


def _within(instant: datetime, bounds: Range) -> bool:
    given = ((holds, getattr(bounds, name)) for name, holds in _HOLDS.items())
    return all(holds(instant, bound) for holds, bound in given if bound is not None)


async def given_assorted_jobs(storage: Storage, clock: ManualClock, draw: random.Random, count: int) -> list[Job]:
    """Jobs of all sorts, some of them enqueued at the same instant, newest first."""
    jobs = storage.jobs(NAMESPACE)
    for _ in range(count):
        if draw.random() < 0.7:
            clock.advance(draw.choice([SECOND, HOUR]))
        job = new_job(
            job_type=draw.choice(TYPES),
            priority=draw.choice([0, 0, 5, -5]),
            tags=tuple(draw.sample(TAGS, draw.choice([0, 0, 1, 2, 3]))),
            delay=draw.choice([None, None, HOUR, 3 * HOUR]),
        )
        await jobs.enqueue([[job]])
        what = draw.choice(["leave", "take", "complete", "fail", "cancel"])
        taken = [held.lease for held in await claim(jobs, *TYPES, limit=1)] if what not in ("leave", "cancel") else []
        if what == "complete":
            await jobs.complete(taken, outputs=[None] * len(taken))
        elif what == "fail":
            await jobs.fail(taken, failures=[FOR_GOOD] * len(taken))
        elif what == "cancel":
            await jobs.cancel([job.id])
    return await walked(storage, JobFilter(), limit=7)


async def walked(storage: Storage, matching: JobFilter, *, limit: int) -> list[Job]:
    """Every job of a list, read page by page."""
    page = await storage.jobs(NAMESPACE).page(matching, before=None, limit=limit)
    found = page.jobs
    while page.next is not None:
        page = await storage.jobs(NAMESPACE).page(matching, before=page.next, limit=limit)
        assert len(page.jobs) <= limit
        found += page.jobs
    return found


def a_filter(draw: random.Random, jobs: list[Job]) -> JobFilter:
    """One that is not always empty: its values are those of some job."""

    def maybe(value: Any, instead: Any, chance: float = 0.3) -> Any:
        return value if draw.random() < chance else instead

    some = draw.choice(jobs)
    bound = draw.choice(list(_HOLDS))
    return JobFilter(
        statuses=maybe(tuple(draw.sample(tuple(JobStatus), draw.randint(1, 3))), ()),
        job_types=maybe((*draw.sample(TYPES, draw.randint(1, 2)), "unknown"), ()),
        priority=maybe(draw.choice([0, 5, -5, 7]), None),
        tags=maybe(some.tags or ("a",), (), 0.6),
        tag_mode=draw.choice(tuple(TagMode)),
        run_at=maybe(Range(**{bound: some.run_at}), Range()),
        created_at=maybe(Range(**{bound: some.created_at}), Range()),
    )


@pytest.mark.parametrize("seed", range(4))
async def test_any_filter_finds_what_it_names_newest_first_page_by_page(
    storage: Storage, clock: ManualClock, seed: int
) -> None:
    draw = random.Random(seed)
    jobs = await given_assorted_jobs(storage, clock, draw, 60)
    assert len(jobs) == 60
    assert [(job.created_at, job.seq) for job in jobs] == sorted(((j.created_at, j.seq) for j in jobs), reverse=True)
    found = 0
    for _ in range(60):
        matching = a_filter(draw, jobs)
        listed = await walked(storage, matching, limit=draw.choice([1, 3, 1000]))
        assert listed == [job for job in jobs if matches(job, matching)], matching
        found += bool(listed)
    assert found >= 20, "the filters were not all empty"


@pytest.mark.parametrize("mode", TagMode)
@pytest.mark.parametrize("tags", [("a",), ("a", "b"), ("b", "a"), ("nowhere",), ("a", "nowhere"), TAGS])
async def test_each_mode_of_tags_means_what_it_says(storage: Storage, mode: TagMode, tags: tuple[str, ...]) -> None:
    held: list[tuple[str, ...]] = [(), ("a",), ("b",), ("a", "b"), ("b", "a"), ("a", "b", "c"), TAGS]
    jobs = [await given_job(storage, tags=each) for each in held][::-1]
    matching = JobFilter(tags=tags, tag_mode=mode)
    assert await walked(storage, matching, limit=2) == [job for job in jobs if matches(job, matching)]


@pytest.mark.parametrize("bound", _HOLDS)
async def test_each_bound_of_a_range_means_what_it_says(storage: Storage, clock: ManualClock, bound: str) -> None:
    jobs: list[Job] = []
    for _ in range(3):
        clock.advance(SECOND)
        jobs.insert(0, await given_job(storage))
    for matching in (
        JobFilter(created_at=Range(**{bound: jobs[1].created_at})),
        JobFilter(run_at=Range(**{bound: jobs[1].run_at})),
    ):
        assert await walked(storage, matching, limit=1000) == [job for job in jobs if matches(job, matching)]


async def test_bounds_of_a_range_hold_together(storage: Storage, clock: ManualClock) -> None:
    jobs = []
    for _ in range(5):
        clock.advance(SECOND)
        jobs.append(await given_job(storage))
    between = Range(gt=jobs[0].created_at, gte=jobs[1].created_at, lt=jobs[4].created_at, lte=jobs[3].created_at)
    assert await walked(storage, JobFilter(created_at=between), limit=2) == [jobs[3], jobs[2], jobs[1]]
    nothing = Range(gt=jobs[4].created_at, lt=jobs[0].created_at)
    assert await walked(storage, JobFilter(created_at=nothing), limit=2) == []


async def test_a_group_or_a_cron_that_no_job_has_finds_nothing(storage: Storage) -> None:
    await given_job(storage)
    assert await walked(storage, JobFilter(group_id="g"), limit=10) == []
    assert await walked(storage, JobFilter(cron_id=new_id()), limit=10) == []


async def test_a_filter_that_few_match_goes_on_to_the_last_of_them(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    [rare] = [new_job(tags=("common", "rare"))]
    await jobs.enqueue([[rare]])
    await jobs.enqueue([[new_job(tags=("common",), delay=HOUR) for _ in range(800)]])
    page = await jobs.page(JobFilter(tags=("common", "rare")), before=None, limit=1)
    assert [job.id for job in page.jobs] == [rare.id]
    due = JobFilter(tags=("common",), run_at=Range(lte=page.jobs[0].run_at))
    assert await jobs.page(due, before=None, limit=1) == JobPage(page.jobs, None)
