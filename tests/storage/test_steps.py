"""The step log: the first write of a name wins, and only the holder of the lease writes."""

from __future__ import annotations

import asyncio
import json

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EventName
from dataqueue.domain.job import NULL, JobStatus, Json, Lease, Reported
from dataqueue.domain.steps import NewStep, Step, StepKind, StepOutcome, Wait
from dataqueue.domain.tokens import NewToken, TokenStatus
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import (
    HOUR,
    LEASE,
    MAX_CRASHES,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_wait_for,
    claim_this,
    data_of_last,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_job_and_lease,
    given_token,
    given_waiting_job,
    save,
    steps_of,
    told,
)
from tests.storage.texts import JSON_TEXTS


def ran(name: str, value: str | None = "1") -> NewStep:
    return NewStep(name=name, value=None if value is None else Json(value))


def done(name: str, value: str = "1") -> Step:
    return Step(name=name, kind=StepKind.RUN, outcome=StepOutcome.OK, value=Json(value))


async def test_a_stored_step_is_answered_kept_and_told(storage: Storage) -> None:
    held = await given_claimed_job(storage, tags=("a",))
    assert not held.has_steps
    assert await save(storage, held.lease, ran("charge", '{"id": 7}')) == done("charge", '{"id": 7}')
    assert await steps_of(storage, held.id) == [done("charge", '{"id": 7}')]
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.STEP_COMPLETED]
    event = (await events_of(storage, held.id))[-1]
    assert (event.job_type, event.tags, json.loads(event.data)) == (held.job_type, ("a",), {"step": "charge"})


async def test_the_next_claim_says_that_there_are_steps(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.release([held.lease])
    held = await claim_this(jobs, held)
    assert not held.has_steps
    await save(storage, held.lease, ran("a"))
    await jobs.release([held.lease])
    assert (await claim_this(jobs, held)).has_steps


async def test_steps_come_in_the_order_in_which_they_were_stored(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    await save(storage, held.lease, ran("z"), ran("a"), ran("m"))
    await save(storage, held.lease, ran("b"))
    await save(storage, held.lease, ran("a"), ran("y"))
    assert [step.name for step in await steps_of(storage, held.id)] == ["z", "a", "m", "b", "y"]
    assert list(json.loads((await storage.jobs(NAMESPACE).get(held.id)).steps)) == ["z", "a", "m", "b", "y"]


async def test_values_come_back_letter_by_letter(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    steps = [ran(f"step {number}", text) for number, text in enumerate(JSON_TEXTS.values())]
    answers = await storage.steps(NAMESPACE).save([(held.lease, step) for step in steps])
    assert [answer.value for answer in answers if answer] == list(JSON_TEXTS.values())
    assert [step.value for step in await steps_of(storage, held.id)] == list(JSON_TEXTS.values())
    read = (await storage.jobs(NAMESPACE).get(held.id)).steps
    assert all(f'"step {n}":{{"ok":{text}}}' in read for n, text in enumerate(JSON_TEXTS.values()))


async def test_a_step_without_a_value_has_the_value_null(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    assert await save(storage, held.lease, ran("a", None)) == done("a", "null")
    assert await steps_of(storage, held.id) == [done("a", "null")]
    assert (await storage.jobs(NAMESPACE).get(held.id)).steps == '{"a":{"ok":null}}'


async def test_a_name_may_have_all_characters_that_the_rule_allows(storage: Storage) -> None:
    held, name = await given_claimed_job(storage), "charge card no. 7_a:b/c@d-e" + "x" * 173
    await save(storage, held.lease, ran(name))
    assert [step.name for step in await steps_of(storage, held.id)] == [name]
    assert await data_of_last(storage, held.id) == {"step": name}


async def test_the_first_write_wins_and_the_second_is_answered_with_it(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    await save(storage, held.lease, ran("a", "1"))
    before = await told(storage, held.id)
    for value in ("1", "2", None):
        assert await save(storage, held.lease, ran("a", value)) == done("a", "1")
    assert await steps_of(storage, held.id) == [done("a", "1")]
    assert await told(storage, held.id) == before


async def test_of_two_of_one_name_in_one_call_the_first_counts(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    answers = await storage.steps(NAMESPACE).save(
        [(held.lease, ran("a", "1")), (held.lease, ran("b", "2")), (held.lease, ran("a", "3"))]
    )
    assert answers == [done("a", "1"), done("b", "2"), done("a", "1")]
    assert (await told(storage, held.id)).count(EventName.STEP_COMPLETED) == 2


async def test_the_first_write_wins_though_it_is_of_another_kind(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await save(storage, held.lease, ran("a"))
    assert await save(storage, held.lease, NewStep(name="a", token=NewToken(id=new_id()))) == done("a")
    await jobs.suspend([held.lease], waits=[[Wait(name="rest", delay=SECOND)]])
    clock.advance(SECOND)
    await storage.upkeep.stage(limit=10)
    again = await claim_this(jobs, held)
    found = await save(storage, again.lease, ran("rest"))
    assert found == Step(name="rest", kind=StepKind.SLEEP, outcome=StepOutcome.OK, until=clock.now())


async def test_of_many_writers_at_once_one_wins_and_all_hear_the_same(storage: Storage) -> None:
    held = await given_claimed_job(storage)
    answers = await asyncio.gather(*(save(storage, held.lease, ran("a", str(number))) for number in range(20)))
    assert len(set(answers)) == 1
    assert await steps_of(storage, held.id) == answers[:1]
    assert (await told(storage, held.id)).count(EventName.STEP_COMPLETED) == 1


async def test_a_call_answers_for_each_lease_in_its_order(storage: Storage) -> None:
    first, second = await given_claimed_jobs(storage, 2)
    steps = storage.steps(NAMESPACE)
    await save(storage, first.lease, ran("a", "0"))
    assert await steps.save(
        [
            (second.lease, ran("a", "1")),
            (Lease(new_id(), 1), ran("a", "2")),
            (first.lease, ran("a", "3")),
            (Lease(second.id, 9), ran("b", "4")),
            (first.lease, ran("b", "5")),
        ]
    ) == [done("a", "1"), None, done("a", "0"), None, done("b", "5")]
    assert (await steps.of_jobs([second.id]))[0] == [done("a", "1")]
    assert await steps.save([]) == []


@pytest.mark.parametrize("status", [status for status in JobStatus if status is not JobStatus.PROCESSING])
async def test_without_a_lease_nothing_is_stored(storage: Storage, status: JobStatus) -> None:
    job, lease = await given_job_and_lease(storage, status=status)
    before = await steps_of(storage, job.id), await told(storage, job.id)
    token = NewToken(id=new_id())
    assert await storage.steps(NAMESPACE).save(
        [(lease, ran("a")), (lease, NewStep(name="b", token=token))]
    ) == [None, None]  # fmt: skip
    assert (await steps_of(storage, job.id), await told(storage, job.id)) == before
    assert await storage.jobs(NAMESPACE).get(job.id) == job


async def test_a_worker_that_lost_its_job_stores_nothing(storage: Storage, clock: ManualClock) -> None:
    jobs, late = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await save(storage, late.lease, ran("a"))
    clock.advance(LEASE + SECOND)
    assert await save(storage, late.lease, ran("b")) == done("b"), "until somebody reclaims, the lease is held"
    await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES)
    again = await claim_this(jobs, late, worker_id="bob")
    assert await save(storage, late.lease, ran("c")) is None
    assert await save(storage, late.lease, ran("a")) is None
    assert await save(storage, again.lease, ran("a", "2")) == done("a"), "what was stored stays"
    assert [step.name for step in await steps_of(storage, late.id)] == ["a", "b"]


async def test_a_step_makes_a_token_for_its_job_in_the_same_act(storage: Storage, clock: ManualClock) -> None:
    held, id = await given_claimed_job(storage, tags=("of the job",)), new_id()
    step = NewStep(name="ask", token=NewToken(id=id, timeout=HOUR, tags=("x", "y")))
    stored = await save(storage, held.lease, step)
    expected = Step(
        name="ask", kind=StepKind.CREATE_TOKEN, outcome=StepOutcome.OK, value=Json(f'{{"id":"{id}"}}'), token_id=id
    )
    assert stored == expected
    assert await steps_of(storage, held.id) == [expected]
    assert (await storage.jobs(NAMESPACE).get(held.id)).steps == f'{{"ask":{{"ok":{{"id":"{id}"}}}}}}'
    token = await storage.tokens(NAMESPACE).get(id)
    assert (token.status, token.job_id, token.name, token.tags) == (TokenStatus.WAITING, held.id, "ask", ("x", "y"))
    assert (token.created_at, token.timeout_at) == (clock.now(), clock.now() + HOUR)
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.job_type, event.tags) == (EventName.TOKEN_CREATED, held.job_type, ("x", "y"))
    assert json.loads(event.data) == {"token_id": str(id)}


async def test_a_token_is_made_once_though_the_reply_was_lost(storage: Storage) -> None:
    held, id = await given_claimed_job(storage), new_id()
    step = NewStep(name="ask", token=NewToken(id=id))
    first = await save(storage, held.lease, step)
    assert await save(storage, held.lease, step) == first
    other = await save(storage, held.lease, NewStep(name="ask", token=NewToken(id=new_id())))
    assert other == first
    assert (await told(storage, held.id)).count(EventName.TOKEN_CREATED) == 1


async def test_storing_a_step_moves_nothing_else(storage: Storage, clock: ManualClock) -> None:
    held = await given_claimed_job(storage)
    before = await storage.jobs(NAMESPACE).get(held.id)
    clock.advance(MINUTE)
    await save(storage, held.lease, ran("a"))
    after = await storage.jobs(NAMESPACE).get(held.id)
    assert (after.status, after.attempts, after.lease_expires_at) == (before.status, 1, before.lease_expires_at)


async def test_a_sleep_is_over_from_its_instant_on_by_the_clock_of_the_storage(
    storage: Storage, clock: ManualClock
) -> None:
    steps, jobs = storage.steps(NAMESPACE), storage.jobs(NAMESPACE)
    held = await given_waiting_job(storage, Wait(name="rest", delay=HOUR))
    until = clock.now() + HOUR
    open_sleep = Step(name="rest", kind=StepKind.SLEEP, outcome=None, until=until)
    assert (await steps.of_jobs([held.id]))[0] == [open_sleep]
    assert (await jobs.get(held.id)).steps == "{}"
    clock.advance(HOUR - SECOND)
    assert (await steps.of_jobs([held.id]))[0] == [open_sleep]
    clock.advance(SECOND)
    assert (await steps.of_jobs([held.id]))[0] == [
        Step(name="rest", kind=StepKind.SLEEP, outcome=StepOutcome.OK, until=until)
    ]  # fmt: skip
    assert (await jobs.get(held.id)).steps == '{"rest":{"ok":null}}'


async def test_steps_as_read_say_how_each_ended_and_leave_out_what_is_open(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    expires = await given_token(storage, timeout=MINUTE)
    answered, waiting = await given_token(storage), await given_token(storage)
    await save(storage, held.lease, ran("charge", "[]"))
    await jobs.suspend(
        [held.lease],
        waits=[
            [
                a_wait_for(expires, name="too late"),
                a_wait_for(answered, name="answer"),
                a_wait_for(waiting, name="open"),
                Wait(name="rest", delay=SECOND),
                Wait(name="long rest", delay=HOUR),
            ]
        ],
    )
    await storage.tokens(NAMESPACE).complete(answered.id, output=Json('"yes"'))
    clock.advance(2 * MINUTE)
    await storage.upkeep.expire_tokens(limit=10)
    expected = '{"charge":{"ok":[]},"too late":{"timeout":true},"answer":{"ok":"yes"},"rest":{"ok":null}}'
    assert (await jobs.get(held.id)).steps == expected


async def test_a_job_that_is_not_there_has_no_steps(storage: Storage) -> None:
    assert await steps_of(storage, new_id()) == []
    assert await steps_of(storage, new_id(), namespace="nowhere") == []


async def test_another_namespace_neither_sees_nor_stores_steps(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"d", prefix="dq_x")
    held, others = await given_claimed_job(storage), storage.steps("other")
    await save(storage, held.lease, ran("a"))
    assert (await others.of_jobs([held.id]))[0] == []
    assert await others.save([(held.lease, ran("b"))]) == [None]
    assert [step.name for step in await steps_of(storage, held.id)] == ["a"]


async def test_steps_outlive_the_end_of_the_job_and_a_retry_and_go_when_it_does(storage: Storage) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await save(storage, held.lease, ran("a"))
    await jobs.cancel([held.id])
    await jobs.release([held.lease])
    await jobs.retry([held.id])
    again = await claim_this(jobs, held)
    assert again.has_steps
    assert await jobs.complete([again.lease], outputs=[NULL]) == [Reported.OK]
    assert (await jobs.get(held.id)).steps == '{"a":{"ok":1}}'
    assert await steps_of(storage, held.id) == [done("a")]
    await jobs.delete([held.id])
    assert await steps_of(storage, held.id) == []
