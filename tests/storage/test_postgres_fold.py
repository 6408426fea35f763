"""What was noted of changes is folded into the counts."""

from __future__ import annotations

from dataqueue.domain.job import JobStatus
from dataqueue.storage.port import Storage
from tests.storage.counted import counts
from tests.storage.given import NAMESPACE, given_job


async def test_folding_takes_no_more_notes_of_a_kind_than_asked_for_and_says_when_there_is_nothing(
    storage: Storage,
) -> None:
    for _ in range(5):
        await given_job(storage, job_type="a", tags=("x",))
    assert await storage.upkeep.fold_counts(limit=2) == 2 * 3
    assert (await storage.tally(NAMESPACE).stats()).by_type == {"a": counts(pending=5)}
    rounds = 1
    while await storage.upkeep.fold_counts(limit=2):
        rounds += 1
    assert rounds == 3
    assert (await storage.tally(NAMESPACE).stats()).by_type == {"a": counts(pending=5)}
    assert (await storage.tally(NAMESPACE).tag("x")).counts == counts(pending=5)


async def test_what_is_added_and_taken_away_are_notes_each(storage: Storage) -> None:
    job = await given_job(storage, job_type="a", tags=("x",), status=JobStatus.CANCELLED)
    assert await storage.upkeep.fold_counts(limit=100)
    await storage.jobs(NAMESPACE).delete([job.id])
    assert await storage.upkeep.fold_counts(limit=100)
    assert await storage.upkeep.fold_counts(limit=100) == 0
