"""Tokens: made, read, completed once or timed out, pruned; and who waits for one hears of its end."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.events import EVERYTHING, EventName
from dataqueue.domain.job import JobStatus, Json
from dataqueue.domain.retention import Retention
from dataqueue.domain.steps import StepOutcome
from dataqueue.domain.tokens import ANY_TOKEN, NewToken, Token, TokenStatus
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.storage.answers import Expired, TokenPage
from dataqueue.storage.port import Storage
from tests.storage.given import (
    HOUR,
    MINUTE,
    NAMESPACE,
    SECOND,
    a_wait_for,
    claim_this,
    events_of,
    given_claimed_job,
    given_claimed_jobs,
    given_token,
    given_token_of,
    given_waiting_job,
    steps_of,
    told,
)
from tests.storage.texts import JSON_TEXTS, TAGS

DAY = timedelta(days=1)
YES, NO = Json('"yes"'), Json('"no"')
WAITING, COMPLETED, TIMED_OUT = TokenStatus.WAITING, TokenStatus.COMPLETED, TokenStatus.TIMED_OUT


async def told_of_tokens(storage: Storage) -> list[tuple[EventName, object, UUID | None, tuple[str, ...]]]:
    """What happened to tokens: which one, whose it is, its tags."""
    log = storage.events(NAMESPACE)
    page = await log.page(EVERYTHING, after=0, until=(await log.bounds()).newest, limit=1000)
    return [
        (event.event, json.loads(event.data)["token_id"], event.job_id, event.tags)
        for event in page.events
        if event.event.startswith("token:")
    ]


async def test_a_token_as_made(storage: Storage, clock: ManualClock) -> None:
    token = await given_token(storage, timeout=HOUR, tags=("b", "a"))
    assert token == Token(
        id=token.id,
        namespace=NAMESPACE,
        status=WAITING,
        tags=("b", "a"),
        job_id=None,
        name=None,
        output=None,
        timeout_at=clock.now() + HOUR,
        created_at=clock.now(),
        completed_at=None,
        expired_at=None,
    )
    assert await storage.tokens(NAMESPACE).get(token.id) == token
    assert (await given_token(storage)).timeout_at is None
    assert (await told_of_tokens(storage))[0] == (EventName.TOKEN_CREATED, str(token.id), None, ("b", "a"))


async def test_an_event_of_a_token_without_a_job_has_no_type_either(storage: Storage) -> None:
    await given_token(storage)
    log = storage.events(NAMESPACE)
    [event] = (await log.page(EVERYTHING, after=0, until=(await log.bounds()).newest, limit=10)).events
    assert (event.event, event.job_id, event.job_type, event.tags) == (EventName.TOKEN_CREATED, None, None, ())


async def test_several_are_made_in_one_act_and_answered_in_order(storage: Storage) -> None:
    new = [NewToken(id=new_id(), tags=(str(number),)) for number in range(5)]
    asked = [new[3], new[0], new[4], new[1], new[2]]
    made = await storage.tokens(NAMESPACE).create(asked)
    assert [token.id for token in made] == [token.id for token in asked]
    assert [data for _, data, *_ in await told_of_tokens(storage)] == [str(token.id) for token in asked]
    assert await storage.tokens(NAMESPACE).create([]) == []


async def test_made_again_under_the_same_id_it_is_what_is_there(storage: Storage, clock: ManualClock) -> None:
    tokens, token = storage.tokens(NAMESPACE), await given_token(storage, tags=("a",))
    ended = (await tokens.complete(token.id, output=YES)).token
    clock.advance(MINUTE)
    again, fresh = NewToken(id=token.id, tags=("b",), timeout=SECOND), NewToken(id=new_id())
    assert await tokens.create([again, fresh]) == [ended, await tokens.get(fresh.id)]
    assert [name for name, *_ in await told_of_tokens(storage)].count(EventName.TOKEN_CREATED) == 2


@pytest.mark.parametrize("tags", TAGS.values(), ids=list(TAGS))
async def test_tags_come_back_as_they_were(storage: Storage, tags: tuple[str, ...]) -> None:
    token = await given_token(storage, tags=tags)
    assert token.tags == tags
    assert (await told_of_tokens(storage))[0][3] == tags


async def test_nothing_is_made_or_found_in_a_namespace_that_is_not_there(storage: Storage) -> None:
    nowhere, token = storage.tokens("nowhere"), await given_token(storage)
    with pytest.raises(NotFound):
        await nowhere.create([NewToken(id=new_id())])
    for look in (nowhere.get(token.id), nowhere.complete(token.id, output=YES)):
        with pytest.raises(NotFound):
            await look
    assert await nowhere.page(ANY_TOKEN, before=None, limit=10) == TokenPage([], None)


async def test_another_namespace_neither_sees_nor_completes_a_token(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"d", prefix="dq_x")
    others, token = storage.tokens("other"), await given_token(storage)
    for look in (others.get(token.id), others.complete(token.id, output=YES)):
        with pytest.raises(NotFound):
            await look
    assert await others.page(ANY_TOKEN, before=None, limit=10) == TokenPage([], None)
    assert await storage.tokens(NAMESPACE).get(token.id) == token


async def test_an_unknown_token_is_not_found(storage: Storage) -> None:
    tokens = storage.tokens(NAMESPACE)
    for look in (tokens.get(new_id()), tokens.complete(new_id(), output=YES)):
        with pytest.raises(NotFound):
            await look


async def test_a_completed_token_keeps_its_output_and_is_told(storage: Storage, clock: ManualClock) -> None:
    tokens, token = storage.tokens(NAMESPACE), await given_token(storage, timeout=HOUR, tags=("a",))
    clock.advance(SECOND)
    ended = await tokens.complete(token.id, output=YES)
    assert (ended.is_first, ended.woken) == (True, frozenset())
    assert ended.token == await tokens.get(token.id)
    assert (ended.token.status, ended.token.output) == (COMPLETED, YES)
    assert (ended.token.completed_at, ended.token.expired_at) == (clock.now(), None)
    assert (await told_of_tokens(storage))[1:] == [(EventName.TOKEN_COMPLETED, str(token.id), None, ("a",))]


async def test_outputs_come_back_letter_by_letter_and_so_do_those_of_steps(storage: Storage) -> None:
    tokens, held = storage.tokens(NAMESPACE), await given_claimed_job(storage)
    made = await tokens.create([NewToken(id=new_id()) for _ in JSON_TEXTS])
    waits = [a_wait_for(token, name=f"w{number}") for number, token in enumerate(made)]
    await storage.jobs(NAMESPACE).suspend([held.lease], waits=[waits])
    for token, text in zip(made, JSON_TEXTS.values(), strict=True):
        assert (await tokens.complete(token.id, output=Json(text))).token.output == text
        assert (await tokens.get(token.id)).output == text
    assert [step.value for step in await steps_of(storage, held.id)] == list(JSON_TEXTS.values())


@pytest.mark.parametrize("output", [YES, NO])
async def test_completing_again_changes_nothing_whatever_the_output(
    storage: Storage, clock: ManualClock, output: Json
) -> None:
    tokens, token = storage.tokens(NAMESPACE), await given_token(storage)
    first = await tokens.complete(token.id, output=YES)
    clock.advance(MINUTE)
    again = await tokens.complete(token.id, output=output)
    assert (again.token, again.is_first, again.woken) == (first.token, False, frozenset())
    assert len(await told_of_tokens(storage)) == 2


async def test_the_end_of_a_token_wakes_who_waits_for_it(storage: Storage, clock: ManualClock) -> None:
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    token = await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token), tags=("t",))
    clock.advance(SECOND)
    assert (await tokens.complete(token.id, output=YES)).woken == {held.job_type}
    job = await jobs.get(held.id)
    assert (job.status, job.wait_token_id, job.attempts) == (JobStatus.PENDING, None, 1)
    assert (job.updated_at, job.steps) == (clock.now(), '{"approve":{"ok":"yes"}}')
    [step] = await steps_of(storage, held.id)
    assert (step.outcome, step.value) == (StepOutcome.OK, YES)
    event = (await events_of(storage, held.id))[-1]
    assert (event.event, event.job_type, event.tags, event.data) == (EventName.RESUMED, held.job_type, ("t",), "{}")
    again = await claim_this(jobs, held)
    assert (again.attempts, again.invocation) == (1, 2)


async def test_a_job_is_told_of_the_end_of_a_token_that_it_made(storage: Storage) -> None:
    held = await given_claimed_job(storage, tags=("of the job",))
    token = await given_token_of(storage, held.lease, tags=("of the token",))
    await storage.tokens(NAMESPACE).complete(token.id, output=YES)
    assert await told(storage, held.id) == [
        EventName.ADDED,
        EventName.PROCESSING,
        EventName.TOKEN_CREATED,
        EventName.TOKEN_COMPLETED,
    ]
    event = (await events_of(storage, held.id))[-1]
    assert (event.job_type, event.tags) == (held.job_type, ("of the token",))


async def test_all_who_wait_are_woken_and_nobody_else(storage: Storage) -> None:
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    one, other = await given_token(storage), await given_token(storage)
    held = await given_claimed_jobs(storage, 6)
    waits = [[a_wait_for(one)], [a_wait_for(other)], [a_wait_for(one), a_wait_for(other, name="b")]] * 2
    await jobs.suspend([job.lease for job in held], waits=waits)
    await tokens.complete(one.id, output=YES)
    statuses = [(await jobs.get(job.id)).status for job in held]
    assert statuses == [JobStatus.PENDING, JobStatus.WAITING, JobStatus.PENDING] * 2
    await tokens.complete(other.id, output=NO)
    assert [(await told(storage, job.id)).count(EventName.RESUMED) for job in held] == [1] * 6
    both = await steps_of(storage, held[2].id)
    assert [step.value for step in both] == [YES, NO]


async def test_a_job_that_waits_for_one_token_under_two_names_is_woken_once(storage: Storage) -> None:
    token = await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token, name="a"), a_wait_for(token, name="b"))
    assert (await storage.tokens(NAMESPACE).complete(token.id, output=YES)).woken == {held.job_type}
    assert (await told(storage, held.id)).count(EventName.RESUMED) == 1
    assert [step.value for step in await steps_of(storage, held.id)] == [YES, YES]


async def test_a_job_that_waits_for_something_else_by_now_is_not_woken_but_finds_the_end(
    storage: Storage, clock: ManualClock
) -> None:
    jobs, former, present = storage.jobs(NAMESPACE), await given_token(storage), await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(former))
    await jobs.cancel([held.id])
    await jobs.retry([held.id])
    again = await claim_this(jobs, held)
    await jobs.suspend([again.lease], waits=[[a_wait_for(present, name="b")]])
    assert (await storage.tokens(NAMESPACE).complete(former.id, output=YES)).woken == frozenset()
    job = await jobs.get(held.id)
    assert (job.status, job.wait_token_id, job.steps) == (JobStatus.WAITING, present.id, '{"approve":{"ok":"yes"}}')
    assert (await storage.tokens(NAMESPACE).complete(present.id, output=NO)).woken == {held.job_type}


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.CANCELLED])
async def test_a_job_that_does_not_wait_any_more_is_not_moved_but_finds_the_end(
    storage: Storage, status: JobStatus
) -> None:
    jobs, token = storage.jobs(NAMESPACE), await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token))
    await jobs.cancel([held.id])
    if status is not JobStatus.CANCELLED:
        await jobs.retry([held.id])
    if status is JobStatus.PROCESSING:
        await claim_this(jobs, held)
    before = await told(storage, held.id)
    assert (await storage.tokens(NAMESPACE).complete(token.id, output=YES)).woken == frozenset()
    assert (await jobs.get(held.id)).status is status
    assert await told(storage, held.id) == before
    assert [step.value for step in await steps_of(storage, held.id)] == [YES]


async def test_a_token_times_out_from_its_instant_on_and_wakes_who_waits(storage: Storage, clock: ManualClock) -> None:
    jobs, tokens, upkeep = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE), storage.upkeep
    token = await given_token(storage, timeout=MINUTE, tags=("a",))
    held = await given_waiting_job(storage, a_wait_for(token))
    clock.advance(MINUTE - timedelta(microseconds=1))
    assert await upkeep.expire_tokens(limit=10) == Expired(0, frozenset())
    clock.advance(timedelta(microseconds=1))
    assert await upkeep.expire_tokens(limit=10) == Expired(1, frozenset({held.job_type}))
    ended = await tokens.get(token.id)
    assert (ended.status, ended.output, ended.completed_at, ended.expired_at) == (TIMED_OUT, None, None, clock.now())
    assert (await jobs.get(held.id)).steps == '{"approve":{"timeout":true}}'
    [step] = await steps_of(storage, held.id)
    assert (step.outcome, step.value) == (StepOutcome.TIMEOUT, None)
    assert (await told_of_tokens(storage))[-1] == (EventName.TOKEN_EXPIRED, str(token.id), None, ("a",))
    assert await upkeep.expire_tokens(limit=10) == Expired(0, frozenset())


async def test_completing_a_token_whose_time_is_up_times_it_out(storage: Storage, clock: ManualClock) -> None:
    tokens, token = storage.tokens(NAMESPACE), await given_token(storage, timeout=MINUTE)
    held = await given_waiting_job(storage, a_wait_for(token))
    clock.advance(MINUTE)
    ended = await tokens.complete(token.id, output=YES)
    assert (ended.token.status, ended.token.output, ended.is_first) == (TIMED_OUT, None, False)
    assert ended.token.expired_at == clock.now()
    assert ended.woken == {held.job_type}
    assert (await storage.jobs(NAMESPACE).get(held.id)).steps == '{"approve":{"timeout":true}}'
    assert [name for name, *_ in await told_of_tokens(storage)] == [EventName.TOKEN_CREATED, EventName.TOKEN_EXPIRED]
    assert await storage.upkeep.expire_tokens(limit=10) == Expired(0, frozenset())
    assert not (await tokens.complete(token.id, output=YES)).is_first


async def test_a_token_without_a_timeout_never_times_out_and_one_that_is_completed_neither(
    storage: Storage, clock: ManualClock
) -> None:
    tokens, completed = storage.tokens(NAMESPACE), await given_token(storage, timeout=MINUTE)
    await given_token(storage)
    await tokens.complete(completed.id, output=YES)
    clock.advance(timedelta(days=3650))
    assert await storage.upkeep.expire_tokens(limit=10) == Expired(0, frozenset())
    assert (await tokens.get(completed.id)).status is COMPLETED


async def test_of_many_a_round_times_out_as_many_as_it_was_told(storage: Storage, clock: ManualClock) -> None:
    new = [NewToken(id=new_id(), timeout=SECOND) for _ in range(7)]
    await storage.tokens(NAMESPACE).create(new)
    clock.advance(SECOND)
    rounds = [(await storage.upkeep.expire_tokens(limit=3)).count for _ in range(4)]
    assert rounds == [3, 3, 1, 0]


async def test_who_expires_in_one_namespace_does_it_there(storage: Storage, clock: ManualClock) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"d", prefix="dq_x")
    here = await given_token(storage, timeout=SECOND)
    [there] = await storage.tokens("other").create([NewToken(id=new_id(), timeout=SECOND)])
    clock.advance(SECOND)
    assert (await storage.upkeep.expire_tokens(limit=10, namespace="other")).count == 1
    assert (await storage.tokens("other").get(there.id)).status is TIMED_OUT
    assert (await storage.tokens(NAMESPACE).get(here.id)).status is WAITING


async def test_tokens_without_a_job_are_pruned_when_they_have_been_over_for_long(
    storage: Storage, clock: ManualClock
) -> None:
    tokens, upkeep = storage.tokens(NAMESPACE), storage.upkeep
    done, expired, waiting = (
        await given_token(storage),
        await given_token(storage, timeout=MINUTE),
        await given_token(storage),
    )
    clock.advance(MINUTE)
    await tokens.complete(done.id, output=YES)
    await upkeep.expire_tokens(limit=10)
    clock.advance(DAY)
    assert await upkeep.prune_tokens(keep=DAY, limit=10) == 0
    clock.advance(SECOND)
    assert [await upkeep.prune_tokens(keep=DAY, limit=1) for _ in range(3)] == [1, 1, 0]
    for token in (done, expired):
        with pytest.raises(NotFound):
            await tokens.get(token.id)
    assert (await tokens.page(ANY_TOKEN, before=None, limit=10)).tokens == [waiting]


async def test_who_waited_for_a_token_keeps_its_end_when_it_is_pruned(storage: Storage, clock: ManualClock) -> None:
    token = await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token))
    await storage.tokens(NAMESPACE).complete(token.id, output=YES)
    clock.advance(2 * DAY)
    assert await storage.upkeep.prune_tokens(keep=DAY, limit=10) == 1
    assert [step.value for step in await steps_of(storage, held.id)] == [YES]


async def test_a_token_of_a_job_stays_as_long_as_that_and_goes_with_it(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    token = await given_token_of(storage, held.lease)
    await storage.tokens(NAMESPACE).complete(token.id, output=YES)
    await jobs.complete([held.lease], outputs=[None])
    clock.advance(10 * DAY)
    assert await storage.upkeep.prune_tokens(keep=DAY, limit=10) == 0
    assert (await storage.tokens(NAMESPACE).get(token.id)).output == YES
    await jobs.delete([held.id])
    with pytest.raises(NotFound):
        await storage.tokens(NAMESPACE).get(token.id)
    page = await storage.tokens(NAMESPACE).page(ANY_TOKEN, before=None, limit=10)
    assert page == TokenPage([], None)


@pytest.mark.parametrize("how", ["deleted", "pruned"])
async def test_a_token_that_still_waits_when_its_job_goes_times_out_and_is_pruned_later(
    storage: Storage, clock: ManualClock, how: str
) -> None:
    jobs, tokens, upkeep = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE), storage.upkeep
    held = await given_claimed_job(storage)
    token = await given_token_of(storage, held.lease, timeout=timedelta(days=300))
    waiter = await given_waiting_job(storage, a_wait_for(token))
    await jobs.complete([held.lease], outputs=[None])
    clock.advance(2 * DAY)
    if how == "deleted":
        await jobs.delete([held.id])
    else:
        await upkeep.prune(Retention(completed=DAY, failed=DAY, cancelled=DAY), limit=10)
    left = await tokens.get(token.id)
    assert (left.status, left.job_id, left.timeout_at) == (WAITING, None, clock.now())
    assert await upkeep.expire_tokens(limit=10) == Expired(1, frozenset({waiter.job_type}))
    assert (await jobs.get(waiter.id)).steps == '{"approve":{"timeout":true}}'
    clock.advance(2 * DAY)
    assert await upkeep.prune_tokens(keep=DAY, limit=10) == 1


async def test_a_job_that_goes_leaves_nothing_that_a_token_could_wake(storage: Storage) -> None:
    jobs, token = storage.jobs(NAMESPACE), await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token))
    await jobs.cancel([held.id])
    await jobs.delete([held.id])
    assert (await storage.tokens(NAMESPACE).complete(token.id, output=YES)).woken == frozenset()
    assert await steps_of(storage, held.id) == []


async def test_the_signing_secret_is_made_once_whoever_asks(storage: Storage) -> None:
    secrets = await asyncio.gather(*(storage.keys.signing_secret() for _ in range(20)))
    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32
    assert await storage.keys.signing_secret() == secrets[0]
