"""Job types: what is set for them, what they have, and what that does to jobs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.counts import JobType, JobTypeSettings
from dataqueue.domain.job import JobStatus
from dataqueue.domain.retry import RetryPolicy
from dataqueue.errors import NotFound
from dataqueue.storage.port import JobTypeStore, Storage
from tests.storage.counted import counts
from tests.storage.given import FOR_NOW, NAMESPACE, a_type, claim, claim_this, given_job, new_job

UNSET = JobTypeSettings()
EVERYTHING = JobTypeSettings(
    paused=True, max_attempts=7, timeout_ms=1500, retry_delay=0.5, retry_backoff=False, retry_delay_max=90.0
)


async def names_of(types: JobTypeStore, **page: object) -> list[str]:
    return [one.job_type for one in await types.page(**{"after": None, "limit": 100, **page})]  # type: ignore[arg-type]


async def test_a_type_that_nobody_has_heard_of_is_not_found(storage: Storage) -> None:
    types = storage.job_types(NAMESPACE)
    with pytest.raises(NotFound):
        await types.get("mail")
    assert await names_of(types) == []


async def test_a_type_with_a_job_is_there_with_its_counts_and_no_settings(storage: Storage) -> None:
    await given_job(storage, job_type="mail", status=JobStatus.FAILED)
    await given_job(storage, job_type="mail")
    expected = JobType(job_type="mail", settings=UNSET, counts=counts(pending=1, failed=1))
    for _ in range(2):
        assert await storage.job_types(NAMESPACE).get("mail") == expected
        assert await storage.job_types(NAMESPACE).page(after=None, limit=10) == [expected]
        await storage.upkeep.fold_counts(limit=100)


async def test_a_type_that_is_only_named_as_that_of_dead_letters_is_not_there_yet(storage: Storage) -> None:
    await given_job(storage, job_type="mail", dead_letter_job_type="dead")
    assert await names_of(storage.job_types(NAMESPACE)) == ["mail"]


async def test_settings_are_read_as_they_were_put_and_replaced_as_a_whole(storage: Storage) -> None:
    types = storage.job_types(NAMESPACE)
    await types.put("mail", EVERYTHING)
    assert await types.get("mail") == JobType(job_type="mail", settings=EVERYTHING, counts=counts())
    await types.put("mail", JobTypeSettings(timeout_ms=3))
    assert (await types.get("mail")).settings == JobTypeSettings(timeout_ms=3)
    await types.put("mail", UNSET)
    assert (await types.get("mail")).settings == UNSET


async def test_types_are_listed_by_name_in_code_point_order_a_page_at_a_time(storage: Storage) -> None:
    types = storage.job_types(NAMESPACE)
    for name in ("b", "a/b", "B", "a", "a-b", "_", "10", "9"):
        await types.put(name, UNSET)
    expected = sorted(["b", "a/b", "B", "a", "a-b", "_", "10", "9"])
    assert await names_of(types) == expected
    assert await names_of(types, limit=3) == expected[:3]
    assert await names_of(types, after=expected[2], limit=3) == expected[3:6]
    assert await names_of(types, after="aa") == ["b"]
    assert await names_of(types, after="b") == []


async def test_a_paused_type_hands_out_nothing_until_it_goes_on(storage: Storage) -> None:
    jobs, types = storage.jobs(NAMESPACE), storage.job_types(NAMESPACE)
    job = await given_job(storage, job_type="mail")
    other = await given_job(storage, job_type="other")
    for _ in range(2):
        await types.pause("mail", paused=True)
        assert (await types.get("mail")).settings == JobTypeSettings(paused=True)
        assert [claimed.id for claimed in await claim(jobs, "mail", "other")] in ([other.id], [])
        assert (await jobs.get(job.id)).pending_reason == "paused"
    for _ in range(2):
        await types.pause("mail", paused=False)
        assert (await types.get("mail")).settings == UNSET
        assert (await jobs.get(job.id)).pending_reason is None
    await claim_this(jobs, job)


async def test_what_runs_when_its_type_is_paused_may_end(storage: Storage) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, job_type="mail")
    claimed = await claim_this(jobs, job)
    await storage.job_types(NAMESPACE).pause("mail", paused=True)
    await jobs.complete([claimed.lease], outputs=[None])
    read = await jobs.get(job.id)
    assert (read.status, read.pending_reason) == (JobStatus.COMPLETED, None)


async def test_pausing_leaves_the_other_settings_alone(storage: Storage) -> None:
    types = storage.job_types(NAMESPACE)
    await types.put("mail", JobTypeSettings(max_attempts=7))
    await types.pause("mail", paused=True)
    assert (await types.get("mail")).settings == JobTypeSettings(paused=True, max_attempts=7)
    await types.pause("mail", paused=False)
    assert (await types.get("mail")).settings == JobTypeSettings(max_attempts=7)


@pytest.mark.parametrize("paused", [True, False])
async def test_pausing_or_resuming_a_type_that_nobody_has_heard_of_makes_it(storage: Storage, paused: bool) -> None:
    types = storage.job_types(NAMESPACE)
    await types.pause("mail", paused=paused)
    assert await types.get("mail") == JobType(job_type="mail", settings=JobTypeSettings(paused=paused), counts=counts())
    assert await names_of(types) == ["mail"]


async def test_defaults_hold_for_new_jobs_that_name_no_value_of_their_own(storage: Storage) -> None:
    jobs, types, job_type = storage.jobs(NAMESPACE), storage.job_types(NAMESPACE), a_type()
    before = await given_job(storage, job_type=job_type)
    await types.put(job_type, JobTypeSettings(max_attempts=7, timeout_ms=1500, retry_delay=5.0, retry_delay_max=60.0))
    after = await given_job(storage, job_type=job_type)
    named = await given_job(storage, job_type=job_type, max_attempts=2, timeout_ms=9, retry=RetryPolicy(backoff=False))
    for job, expected in (
        (before, (3, None, None, None, None)),
        (after, (7, 1500, 5.0, None, 60.0)),
        (named, (2, 9, None, False, None)),
    ):
        read = await jobs.get(job.id)
        found = (read.max_attempts, read.timeout_ms, read.retry_delay, read.retry_backoff, read.retry_delay_max)
        assert found == expected
    [_, given, _] = await claim(jobs, job_type)
    assert (given.max_attempts, given.timeout_ms, given.retry.delay) == (7, 1500, 5.0)


async def test_a_job_of_a_paused_type_that_waits_for_its_next_attempt_says_that_it_is_paused(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage, job_type="mail")
    claimed = await claim_this(jobs, job)
    await jobs.fail([claimed.lease], failures=[FOR_NOW])
    await storage.job_types(NAMESPACE).pause("mail", paused=True)
    assert (await jobs.get(job.id)).pending_reason == "paused"
    clock.advance(timedelta(hours=1))
    await storage.upkeep.stage(limit=10)
    assert await claim(jobs, "mail") == []


async def test_types_of_one_namespace_are_not_those_of_another(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"k", prefix="dq_")
    await storage.job_types("other").put("mail", EVERYTHING)
    with pytest.raises(NotFound):
        await storage.job_types(NAMESPACE).get("mail")
    job = await given_job(storage, job_type="mail")
    await claim_this(storage.jobs(NAMESPACE), job)
    assert job.max_attempts == 3
    assert (await storage.job_types("other").get("mail")).counts == counts()


async def test_a_namespace_that_is_not_there_has_no_types_and_takes_none(storage: Storage) -> None:
    types = storage.job_types("nowhere")
    assert await names_of(types) == []
    for refused in (types.put("mail", UNSET), types.pause("mail", paused=True), types.get("mail")):
        with pytest.raises(NotFound):
            await refused


async def test_many_may_set_and_pause_a_new_type_at_once(live_storage: Storage) -> None:
    types = live_storage.job_types(NAMESPACE)
    await asyncio.gather(
        *(types.put("mail", JobTypeSettings(paused=True, max_attempts=7)) for _ in range(8)),
        *(types.pause("mail", paused=True) for _ in range(8)),
        live_storage.jobs(NAMESPACE).enqueue([[new_job(job_type="mail")]]),
    )
    assert await types.get("mail") == JobType(
        job_type="mail", settings=JobTypeSettings(paused=True, max_attempts=7), counts=counts(pending=1)
    )
