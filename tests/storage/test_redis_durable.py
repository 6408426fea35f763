"""Durable handlers in Redis, where the port does not show it: what one script does, and who finishes what was left."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, TagMode
from dataqueue.domain.job import JobStatus, Json, Reported
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.steps import NewStep, StepOutcome, Wait
from dataqueue.domain.tokens import ANY_TOKEN, NewToken, Token, TokenFilter, TokenPosition, TokenStatus
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.storage.answers import Expired
from dataqueue.storage.port import Storage
from dataqueue.storage.redis import tokens as token_pages
from dataqueue.storage.redis.keys import beginning_of
from dataqueue.storage.redis.storage import RedisStorage
from tests.redis_servers import RedisServer
from tests.storage.given import HOUR, MINUTE, NAMESPACE, SECOND, claim, events_of, given_claimed_jobs, new_job, steps_of

LARGE: Final = Json('"' + "x" * (255 << 10) + '"')
UNKNOWN: Final = "00000000-0000-7000-8000-000000000000"


def key(name: str) -> str:
    return f"{beginning_of(NAMESPACE)}:{name}"


def left(redis: RedisServer, *names: str) -> list[str]:
    """Of the keys that begin so, those that are there."""
    return [one.decode() for name in names for one in redis.client.scan_iter(key(f"{name}*"))]


@pytest.fixture
def ran(storage: RedisStorage, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many of each script were run for the namespace."""
    seen: Counter[str] = Counter()
    run = storage.server.run

    async def counted(verb: str, namespace: str, *values: Any) -> Any:
        seen[verb] += 1
        return await run(verb, namespace, *values)

    monkeypatch.setattr(storage.server, "run", counted)
    return seen


async def given_token(storage: Storage, **fields: Any) -> Token:
    [token] = await storage.tokens(NAMESPACE).create([NewToken(id=new_id(), **fields)])
    return token


async def given_token_of(storage: Storage, job: ClaimedJob, *, name: str = "ask", **fields: Any) -> UUID:
    token = NewToken(id=new_id(), **fields)
    [step] = await storage.steps(NAMESPACE).save([(job.lease, NewStep(name=name, token=token))])
    assert step is not None
    return token.id


async def given_waiters(storage: Storage, count: int, *token_ids: UUID, **fields: Any) -> list[ClaimedJob]:
    """Jobs of one type that wait for these tokens, all of them for each."""
    held = await given_claimed_jobs(storage, count, **fields)
    waits = [Wait(name=f"answer {number}", token_id=token_id) for number, token_id in enumerate(token_ids)]
    words = await storage.jobs(NAMESPACE).suspend([one.lease for one in held], waits=[waits] * count)
    assert words == [Reported.OK] * count
    return held


async def status_of(storage: Storage, job_ids: list[UUID]) -> Counter[JobStatus]:
    return Counter([(await storage.jobs(NAMESPACE).get(job_id)).status for job_id in job_ids])


async def test_a_token_that_very_many_wait_for_wakes_fifty_a_script(
    storage: RedisStorage, redis: RedisServer, ran: Counter[str]
) -> None:
    token = await given_token(storage)
    waiters = await given_waiters(storage, 120, token.id)
    ended = await storage.tokens(NAMESPACE).complete(token.id, output=Json('{"a":  1}'))
    assert ended.is_first
    assert ended.woken == frozenset({waiters[0].job_type})
    assert (ran["tokens/complete"], ran["tokens/wake"]) == (1, 2)
    assert len(await claim(storage.jobs(NAMESPACE), waiters[0].job_type, limit=200)) == 120
    for one in waiters:
        [step] = await steps_of(storage, one.id)
        assert (step.outcome, step.value) == (StepOutcome.OK, '{"a":  1}')
    assert left(redis, "awaiting:", "ties:", "waking") == []


@pytest.mark.parametrize("by", ["stage", "expire_tokens", "complete"])
@pytest.mark.parametrize("expires", [False, True])
async def test_whoever_comes_next_wakes_those_left_by_one_who_was_cut_off(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer, by: str, expires: bool
) -> None:
    token = await given_token(storage, timeout=MINUTE)
    waiters = await given_waiters(storage, 120, token.id)
    if expires:
        clock.advance(MINUTE)
        await storage.server.run("upkeep/expire_tokens", NAMESPACE, 1)
        ended, woken = StepOutcome.TIMEOUT, 1
    else:
        await storage.server.run("tokens/complete", NAMESPACE, str(token.id), "7")
        ended, woken = StepOutcome.OK, 50
    assert len(await claim(storage.jobs(NAMESPACE), waiters[0].job_type, limit=200)) == woken
    assert left(redis, "waking") == [key("waking")]
    match by:
        case "stage":
            assert (await storage.upkeep.stage(limit=1000)).count == 120 - woken
        case "expire_tokens":
            expired = await storage.upkeep.expire_tokens(limit=1000)
            assert expired == Expired(0, frozenset({waiters[0].job_type}))
        case _:
            assert not (await storage.tokens(NAMESPACE).complete(token.id, output=Json("8"))).is_first
    assert len(await claim(storage.jobs(NAMESPACE), waiters[0].job_type, limit=200)) == 120 - woken
    assert {(await steps_of(storage, one.id))[0].outcome for one in waiters} == {ended}
    assert left(redis, "awaiting:", "ties:", "waking") == []


async def test_a_large_output_is_copied_to_few_in_one_script(storage: RedisStorage, ran: Counter[str]) -> None:
    token = await given_token(storage)
    waiters = await given_waiters(storage, 10, token.id)
    await storage.tokens(NAMESPACE).complete(token.id, output=LARGE)
    # A mebibyte each: four of them.
    assert (ran["tokens/complete"], ran["tokens/wake"]) == (1, 2)
    for one in waiters:
        assert [step.value for step in await steps_of(storage, one.id)] == [LARGE]


async def test_a_round_of_upkeep_does_no_more_than_it_is_asked_for(storage: RedisStorage, clock: ManualClock) -> None:
    tokens = [await given_token(storage, timeout=SECOND) for _ in range(3)]
    await given_waiters(storage, 60, *(token.id for token in tokens))
    clock.advance(SECOND)
    assert (await storage.upkeep.stage(limit=40)).next_due_in == 0
    assert len((await storage.tokens(NAMESPACE).page(ANY_TOKEN, before=None, limit=10)).tokens) == 3
    rounds = [(await storage.upkeep.expire_tokens(limit=40)).count for _ in range(6)]
    assert sum(rounds) == 2
    assert rounds[-1] == 0


async def test_large_steps_and_notes_are_stored_a_mebibyte_a_script(storage: RedisStorage, ran: Counter[str]) -> None:
    [job] = await given_claimed_jobs(storage, 1)
    steps = [NewStep(name=f"part {number}", value=LARGE) for number in range(10)]
    saved = await storage.steps(NAMESPACE).save([(job.lease, step) for step in steps])
    assert [step and (step.name, step.value) for step in saved] == [(step.name, LARGE) for step in steps]
    assert ran["steps/save"] == 3
    assert [one.name for one in await steps_of(storage, job.id)] == [step.name for step in steps]


async def test_jobs_with_many_waits_are_suspended_a_few_a_script(storage: RedisStorage, ran: Counter[str]) -> None:
    held = await given_claimed_jobs(storage, 40)
    waits = [Wait(name=f"rest {number}", delay=HOUR) for number in range(20)]
    words = await storage.jobs(NAMESPACE).suspend([one.lease for one in held], waits=[waits] * 40)
    assert words == [Reported.OK] * 40
    # 63 values each, 500 a script.
    assert ran["jobs/suspend"] == 6


async def test_a_job_that_is_killed_on_timeout_no_more_keeps_nothing_of_it(
    storage: RedisStorage, redis: RedisServer
) -> None:
    jobs, job = storage.jobs(NAMESPACE), new_job(timeout_ms=5, force_kill_on_timeout=True)
    await jobs.enqueue([[job]])
    for value, kept in ((False, 0), (True, 1), (None, 0)):
        await jobs.edit([job.id], JobEdit(force_kill_on_timeout=value))
        assert redis.client.hexists(key(f"job:{job.id}"), "force_kill") == kept
        assert (await jobs.get(job.id)).force_kill_on_timeout is bool(value)
    [claimed] = await claim(jobs, job.job_type)
    assert not claimed.force_kill_on_timeout


async def test_a_step_log_weighs_on_a_page_of_jobs(storage: RedisStorage, ran: Counter[str]) -> None:
    held = await given_claimed_jobs(storage, 12)
    await storage.steps(NAMESPACE).save([(job.lease, NewStep(name="part", value=LARGE)) for job in held])
    page = await storage.jobs(NAMESPACE).page(JobFilter(job_types=(held[0].job_type,)), before=None, limit=12)
    assert [job.steps for job in page.jobs] == [f'{{"part":{{"ok":{LARGE}}}}}'] * 12
    assert ran["jobs/page"] == 3


async def test_a_job_with_very_many_tokens_leaves_some_to_upkeep_when_it_is_deleted(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer
) -> None:
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    [job] = await given_claimed_jobs(storage, 1)
    asked = sorted((NewToken(id=new_id()) for _ in range(260)), key=lambda token: token.id)
    await storage.steps(NAMESPACE).save([(job.lease, NewStep(name=str(one.id), token=one)) for one in asked])
    for one in asked[::2]:
        await tokens.complete(one.id, output=Json("1"))
    await jobs.complete([job.lease], outputs=[None])
    await jobs.delete([job.id])
    assert len(left(redis, "loose")) == 2
    page = await tokens.page(ANY_TOKEN, before=None, limit=1000)
    assert len(page.tokens) == 260 - 50
    await storage.upkeep.stage(limit=1000)
    assert left(redis, "loose", "ties:") == []
    page = await tokens.page(ANY_TOKEN, before=None, limit=1000)
    assert Counter(one.status for one in page.tokens) == {TokenStatus.TIMED_OUT: 130}
    assert {(one.job_id, one.name, one.timeout_at) for one in page.tokens} == {(None, None, clock.now())}
    clock.advance(HOUR)
    assert await storage.upkeep.prune_tokens(keep=MINUTE, limit=1000) == 130
    assert left(redis, "tk:", "token:", "spent", "timeouts") == []


async def test_a_job_that_comes_under_the_id_of_a_deleted_one_keeps_its_own_tokens(
    storage: RedisStorage, redis: RedisServer
) -> None:
    jobs, again, asked = storage.jobs(NAMESPACE), new_job(id_is_callers=True), list[NewToken]()
    for _ in range(2):
        await jobs.enqueue([[again]])
        [job] = await claim(jobs, again.job_type)
        asked = [NewToken(id=new_id()) for _ in range(150)]
        await storage.steps(NAMESPACE).save([(job.lease, NewStep(name=str(one.id), token=one)) for one in asked])
        if not left(redis, "loose"):
            await jobs.complete([job.lease], outputs=[None])
            await jobs.delete([job.id])
    await storage.upkeep.stage(limit=1000)
    own = await storage.tokens(NAMESPACE).page(TokenFilter(job_id=again.id), before=None, limit=1000)
    assert [one.id for one in own.tokens] == sorted((one.id for one in asked), reverse=True)


@pytest.mark.parametrize("way", ["delete", "sweep"])
async def test_a_job_that_is_gone_waits_for_nothing(storage: RedisStorage, redis: RedisServer, way: str) -> None:
    jobs, token = storage.jobs(NAMESPACE), await given_token(storage)
    [gone, stays] = await given_waiters(storage, 2, token.id)
    await jobs.cancel([gone.id])
    if way == "delete":
        await jobs.delete([gone.id])
    else:
        await jobs.sweep(Verb.DELETE, JobFilter(), before=None, limit=10)
    waiting = [one.decode() for one in redis.client.zrange(key(f"awaiting:{token.id}"), 0, -1)]
    assert waiting == [f"{stays.id}answer 0"]
    assert left(redis, "ties:") == [key(f"ties:{stays.id}")]
    assert left(redis, f"steps:{gone.id}") == []


async def test_a_token_outlives_its_job_while_others_have_not_heard_of_its_end(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer
) -> None:
    jobs, tokens = storage.jobs(NAMESPACE), storage.tokens(NAMESPACE)
    [maker] = await given_claimed_jobs(storage, 1)
    token_id = await given_token_of(storage, maker)
    waiters = await given_waiters(storage, 60, token_id)
    await jobs.complete([maker.lease], outputs=[None])
    await storage.server.run("tokens/complete", NAMESPACE, str(token_id), "7")
    await jobs.delete([maker.id])
    assert (await tokens.get(token_id)).job_id is None
    clock.advance(HOUR)
    assert await storage.upkeep.prune_tokens(keep=MINUTE, limit=10) == 0
    await storage.upkeep.stage(limit=100)
    assert {(await steps_of(storage, one.id))[0].value for one in waiters} == {"7"}
    assert await storage.upkeep.prune_tokens(keep=MINUTE, limit=10) == 1
    with pytest.raises(NotFound):
        await tokens.get(token_id)
    assert left(redis, "waking", "spent", "awaiting:", "result:", "token:", "tk:") == []


async def test_places_without_a_token_are_taken_away_and_stop_nobody(
    storage: RedisStorage, clock: ManualClock, redis: RedisServer
) -> None:
    token = await given_token(storage, timeout=SECOND)
    for name in ("timeouts", "waking", "spent"):
        redis.client.zadd(key(name), {UNKNOWN: 1})
    redis.client.zadd(key(f"awaiting:{token.id}"), {f"{UNKNOWN}answer": 1})
    clock.advance(SECOND)
    assert (await storage.upkeep.expire_tokens(limit=10)).count == 1
    clock.advance(HOUR)
    assert await storage.upkeep.prune_tokens(keep=MINUTE, limit=10) == 2
    assert left(redis, "timeouts", "waking", "spent", "awaiting:") == []


async def test_tokens_of_one_instant_are_listed_once_each_and_at_a_bounded_cost(
    storage: RedisStorage, clock: ManualClock, ran: Counter[str]
) -> None:
    tokens = storage.tokens(NAMESPACE)
    made = [NewToken(id=new_id(), tags=("rare",) if number == 0 else ("common",)) for number in range(700)]
    await tokens.create(made)
    assert ran["tokens/create"] == 7
    for matching in (ANY_TOKEN, TokenFilter(tags=("rare",), tag_mode=TagMode.NONE)):
        listed: list[UUID] = []
        before: TokenPosition | None = None
        while True:
            page = await tokens.page(matching, before=before, limit=60)
            listed += [one.id for one in page.tokens]
            if (before := page.next) is None:
                break
        assert listed == sorted(
            (one.id for one in made if matching is ANY_TOKEN or one.tags != ("rare",)), reverse=True
        )


async def test_a_page_of_tokens_that_hardly_any_match_is_given_up_and_goes_on(
    storage: RedisStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_pages, "_MOST_LOOKED_AT", 400)
    tokens = storage.tokens(NAMESPACE)
    wanted = await given_token(storage, tags=("rare",))
    await tokens.create([NewToken(id=new_id(), tags=("common",)) for _ in range(900)])
    matching, pages, before = TokenFilter(tags=("rare",)), 0, None
    while True:
        page = await tokens.page(matching, before=before, limit=10)
        pages += 1
        if page.next is None:
            break
        assert page.tokens == []
        before = page.next
    assert ([one.id for one in page.tokens], pages) == ([wanted.id], 3)


async def test_no_script_of_a_step_or_a_wait_is_longer_for_what_others_wait_for(
    storage: RedisStorage, redis: RedisServer
) -> None:
    """The same number of commands with few and with many jobs and tokens that wait."""

    def commands() -> int:
        said: dict[str, Any] = redis.client.info("commandstats")
        return sum(one["calls"] for name, one in said.items() if name != "cmdstat_info")

    async def cost_of_a_round() -> int:
        token = await given_token(storage, timeout=HOUR)
        [job] = await given_claimed_jobs(storage, 1)
        before = commands()
        await storage.steps(NAMESPACE).save([(job.lease, NewStep(name="did", value=Json("1")))])
        await storage.jobs(NAMESPACE).suspend([job.lease], waits=[[Wait(name="answer", token_id=token.id)]])
        await storage.tokens(NAMESPACE).complete(token.id, output=Json("1"))
        await storage.upkeep.stage(limit=10, namespace=NAMESPACE)
        return commands() - before

    await cost_of_a_round()  # the scripts are known from now on
    few = await cost_of_a_round()
    others = await given_token(storage, timeout=HOUR)
    await given_waiters(storage, 900, others.id)
    await storage.tokens(NAMESPACE).create([NewToken(id=new_id(), timeout=HOUR) for _ in range(900)])
    assert await cost_of_a_round() == few
    assert few < 90


async def test_events_of_a_token_stand_in_the_chain_of_its_job_and_those_of_one_without_in_none(
    storage: RedisStorage,
) -> None:
    [job] = await given_claimed_jobs(storage, 1)
    own, foreign = await given_token_of(storage, job, tags=("t",)), await given_token(storage)
    for token_id in (own, foreign.id):
        await storage.tokens(NAMESPACE).complete(token_id, output=Json("1"))
    told = await events_of(storage, job.id)
    assert [(one.event, one.tags) for one in told[2:]] == [("token:created", ("t",)), ("token:completed", ("t",))]
    bounds = await storage.events(NAMESPACE).bounds()
    assert bounds.newest - told[-1].id >= 1


async def test_upkeep_of_tokens_is_of_every_namespace_or_of_one(storage: RedisStorage, clock: ManualClock) -> None:
    for name in ("one", "two"):
        await storage.keys.create(name="k", namespace=name, scopes=frozenset(), digest=name.encode(), prefix="dq_")
        await storage.tokens(name).create([NewToken(id=new_id(), timeout=timedelta(seconds=9)) for _ in range(2)])
    assert (await storage.upkeep.stage(limit=10)).next_due_in == 9
    clock.advance(HOUR)
    assert (await storage.upkeep.expire_tokens(limit=10, namespace="one")).count == 2
    assert (await storage.upkeep.expire_tokens(limit=10)).count == 2
    clock.advance(HOUR)
    assert await storage.upkeep.prune_tokens(keep=MINUTE, limit=1, namespace="two") == 1
    assert await storage.upkeep.prune_tokens(keep=MINUTE, limit=10) == 3
