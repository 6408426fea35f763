"""Tags that jobs have, with their counts."""

from __future__ import annotations

import pytest

from dataqueue.domain.counts import TagCounts
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import JobStatus
from dataqueue.errors import NotFound
from dataqueue.storage.port import Storage
from tests.storage.counted import counts, every_tag
from tests.storage.given import NAMESPACE, REACHABLE, given_job

TAGS = (
    "",
    "a",
    "A",
    "ab",
    "a%",
    "a_b",
    "a\\",
    "Z",
    "z",
    "é",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "𝄞",
    "\U0010ffff",
    "aa",
    "b'",
)
HARD = tuple(tag for tag in TAGS if tag)


async def names(storage: Storage, prefix: str = "", *, limit: int = 1000) -> list[str]:
    return [one.tag for one in await every_tag(storage, NAMESPACE, limit=limit, prefix=prefix)]


async def test_a_tag_has_a_count_for_every_status(storage: Storage) -> None:
    for status in REACHABLE:
        await given_job(storage, status=status, tags=("x", f"only-{status}"))
    everywhere = counts(**{status.value: 1 for status in REACHABLE})
    for _ in range(2):
        assert await storage.tally(NAMESPACE).tag("x") == TagCounts(tag="x", counts=everywhere)
        assert await storage.tally(NAMESPACE).tag("only-failed") == TagCounts(
            tag="only-failed", counts=counts(failed=1)
        )
        await storage.upkeep.fold_counts(limit=100)


async def test_a_tag_that_no_job_has_or_has_any_longer_is_not_found(storage: Storage) -> None:
    job = await given_job(storage, tags=("x",), status=JobStatus.CANCELLED)
    tally = storage.tally(NAMESPACE)
    for tag in ("y", "X", "", "x "):
        with pytest.raises(NotFound):
            await tally.tag(tag)
    await storage.jobs(NAMESPACE).delete([job.id])
    with pytest.raises(NotFound):
        await tally.tag("x")
    assert await names(storage) == []


@pytest.mark.parametrize("folded", ["none", "half", "all"])
@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_tags_are_listed_in_code_point_order_a_page_at_a_time(storage: Storage, folded: str, limit: int) -> None:
    for number, tag in enumerate(HARD):
        await given_job(storage, tags=(tag,))
        if folded == "all" or (folded == "half" and number % 2):
            await storage.upkeep.fold_counts(limit=100)
    assert await names(storage, limit=limit) == sorted(HARD)


@pytest.mark.parametrize(
    "prefix", ["a", "A", "a%", "a\\", "\ud7ff", "\uffff", "\U0010ffff", "\U0010ffff\U0010ffff", "ab", "abc"]
)
async def test_a_prefix_means_what_it_says(storage: Storage, prefix: str) -> None:
    for tag in HARD:
        await given_job(storage, tags=(tag,))
    expected = sorted(tag for tag in HARD if tag.startswith(prefix))
    assert await names(storage, prefix) == await names(storage, prefix, limit=1) == expected
    await storage.upkeep.fold_counts(limit=1000)
    assert await names(storage, prefix) == await names(storage, prefix, limit=1) == expected


async def test_tags_that_are_gone_but_not_folded_leave_no_gap_in_a_page(storage: Storage) -> None:
    jobs = [await given_job(storage, tags=(f"t{n}",), status=JobStatus.CANCELLED) for n in range(10)]
    await storage.upkeep.fold_counts(limit=1000)
    await storage.jobs(NAMESPACE).delete([job.id for job in jobs[1:8]])
    page = await storage.tally(NAMESPACE).tags(prefix="", after=None, limit=2)
    assert [one.tag for one in page] == ["t0", "t8"]
    page = await storage.tally(NAMESPACE).tags(prefix="t", after="t0", limit=2)
    assert [one.tag for one in page] == ["t8", "t9"]


async def test_a_job_that_is_given_other_tags_is_counted_under_those(storage: Storage) -> None:
    job = await given_job(storage, tags=("x", "y"))
    await storage.jobs(NAMESPACE).edit([job.id], JobEdit(tags=("y", "z")))
    assert await names(storage) == ["y", "z"]
    await storage.jobs(NAMESPACE).cancel([job.id])
    assert (await storage.tally(NAMESPACE).tag("z")).counts == counts(cancelled=1)


async def test_tags_of_one_namespace_are_not_those_of_another(storage: Storage) -> None:
    await given_job(storage, tags=("x",))
    assert await storage.tally("nowhere").tags(prefix="", after=None, limit=10) == []
    with pytest.raises(NotFound):
        await storage.tally("nowhere").tag("x")
