"""A claim brings the step log along, as it stands, so that resuming costs no round trip more."""

from __future__ import annotations

from typing import Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Json
from dataqueue.domain.steps import NewStep, StepOutcome, Wait
from dataqueue.domain.tokens import NewToken
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import HOUR, MINUTE, NAMESPACE, SECOND, claim, given_claimed_job, given_claimed_jobs, steps_of
from tests.storage.texts import JSON_TEXTS

SMALL: Final = {name: text for name, text in JSON_TEXTS.items() if len(text) < 30_000}


async def given_back(storage: Storage, held: ClaimedJob) -> ClaimedJob:
    """The same job, claimed again."""
    jobs = storage.jobs(NAMESPACE)
    await jobs.release([held.lease])
    [again] = await claim(jobs, held.job_type)
    return again


async def test_a_job_without_steps_brings_none(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    assert (held.has_steps, held.steps) == (False, None)


@pytest.mark.parametrize("text", SMALL.values(), ids=SMALL)
async def test_values_come_along_as_they_were_stored(storage: Storage, text: str) -> None:
    held = await given_claimed_job(storage)
    await storage.steps(NAMESPACE).save([(held.lease, NewStep(name="first", value=Json(text)))])
    again = await given_back(storage, held)
    assert again.steps is not None
    assert [step.value for step in again.steps] == [text]
    assert list(again.steps) == await steps_of(storage, held.id)


async def test_steps_of_every_kind_come_along_in_their_order(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    steps, token = storage.steps(NAMESPACE), NewToken(id=new_id(), timeout=HOUR)
    await steps.save([(held.lease, NewStep(name="z", value=Json("1"))), (held.lease, NewStep(name="a", token=token))])
    waits = [Wait(name="soon", delay=SECOND), Wait(name="late", delay=HOUR), Wait(name="answer", token_id=token.id)]
    await storage.jobs(NAMESPACE).suspend([held.lease], waits=[waits])
    clock.advance(MINUTE)
    await storage.upkeep.stage(limit=10)
    [again] = await claim(storage.jobs(NAMESPACE), held.job_type)
    assert again.steps is not None
    assert list(again.steps) == await steps_of(storage, held.id)
    assert [step.outcome for step in again.steps] == [StepOutcome.OK, StepOutcome.OK, StepOutcome.OK, None, None]


async def test_a_log_of_many_steps_is_left_to_be_read_by_whoever_wants_it(storage: Storage) -> None:
    [long, short] = await given_claimed_jobs(storage, 2)
    saved = [(long.lease, NewStep(name=f"s{n}", value=Json("1"))) for n in range(101)]
    await storage.steps(NAMESPACE).save([*saved, (short.lease, NewStep(name="s", value=Json("1")))])
    await storage.jobs(NAMESPACE).release([long.lease, short.lease])
    again = {job.id: job for job in await claim(storage.jobs(NAMESPACE), long.job_type)}
    assert {job.has_steps for job in again.values()} == {True}
    assert again[long.id].steps is None
    assert [step.name for step in again[short.id].steps or ()] == ["s"]


async def test_of_large_values_not_all_come_along_and_those_that_do_are_whole(storage: Storage) -> None:
    # No letter follows the one before: what a storage compresses is as large as it keeps it.
    value = Json(f'"{"".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(60_000))}"')
    held = await given_claimed_jobs(storage, 3)
    await storage.steps(NAMESPACE).save([(job.lease, NewStep(name="large", value=value)) for job in held])
    await storage.jobs(NAMESPACE).release([job.lease for job in held])
    again = await claim(storage.jobs(NAMESPACE), held[0].job_type)
    assert [job.has_steps for job in again] == [True] * 3
    came = [job for job in again if job.steps is not None]
    assert len(came) < 3
    for job in came:
        assert list(job.steps or ()) == await steps_of(storage, job.id)
