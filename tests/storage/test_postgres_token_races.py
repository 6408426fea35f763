"""A suspend and the end of a token, statement by statement: every order in which two transactions can meet."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus, Json, Reported
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.steps import StepOutcome, Wait
from dataqueue.domain.tokens import Token, TokenStatus
from dataqueue.errors import NotFound
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres import ending
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import (
    NAMESPACE,
    SECOND,
    a_wait_for,
    claim,
    claim_this,
    eventually,
    given_claimed_job,
    given_claimed_jobs,
    given_token,
    given_token_of,
    given_waiting_job,
    steps_of,
    told,
)
from tests.storage.raw import connected
from tests.storage.severing import Severing

IS_WAITING: Final = "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1"
DEADLOCKS: Final = "select deadlocks from pg_stat_database where datname = current_database()"
YES: Final = Json('"yes"')


class Actor:
    """One transaction, which does one thing after the other."""

    def __init__(self, connection: Any, watch: Any) -> None:
        self.connection, self._watch = connection, watch
        self._last: asyncio.Task[None] | None = None

    async def act(self, what: Callable[[Any], Awaitable[object]]) -> None:
        """Begin something, after what was begun before; returns when it is done, or somebody is waited for."""
        before = self._last
        self._last = asyncio.create_task(self._do(before, what))
        await eventually("it is done or waits for a lock", self._is_done_or_waits)

    async def finished(self) -> None:
        assert self._last is not None
        await asyncio.wait_for(self._last, 5)

    async def _do(self, before: asyncio.Task[None] | None, what: Callable[[Any], Awaitable[object]]) -> None:
        if before is not None:
            await before
        await what(self.connection)

    async def _is_done_or_waits(self) -> bool | None:
        assert self._last is not None
        waits = await self._watch.fetchval(IS_WAITING, self.connection.get_server_pid())
        return True if self._last.done() or waits else None


def of_suspend(
    storage: PostgresStorage, held: ClaimedJob, token: Token, end: str
) -> list[Callable[[Any], Awaitable[object]]]:
    async def suspend(connection: Any) -> None:
        await connection.execute("begin")
        await storage.database.run_on(
            connection, "jobs/suspend", namespace_id=1, ids=[held.id], invocations=[held.invocation],
            wait_ids=[held.id], wait_invocations=[held.invocation], names=["approve"], untils=[None], delays=[None],
            token_ids=[token.id],
        )  # fmt: skip

    return [suspend, lambda connection: connection.execute(end)]


def of_complete(storage: PostgresStorage, token: Token, end: str) -> list[Callable[[Any], Awaitable[object]]]:
    async def hold(connection: Any) -> None:
        await connection.execute("begin")
        await storage.database.run_on(connection, "tokens/hold", id=token.id, namespace_id=1)

    async def finish(connection: Any) -> None:
        await finished(storage, connection, [token.id])

    return [hold, finish, lambda connection: connection.execute(end)]


async def finished(
    storage: PostgresStorage, connection: Any, ids: Sequence[UUID], limit: int = ending.MOST_WAITERS
) -> None:
    await storage.database.run_on(
        connection, "tokens/finish", ids=list(ids), status=TokenStatus.COMPLETED, output=YES, limit=limit
    )


async def given_held(storage: Storage, token: Token, *, again: bool) -> ClaimedJob:
    """A claimed job; `again`: one that has waited for the token before."""
    if not again:
        return await given_claimed_job(storage)
    held = await given_waiting_job(storage, a_wait_for(token), Wait(name="soon", delay=SECOND / 1000))

    async def staged() -> bool | None:
        return bool((await storage.upkeep.stage(limit=10)).count) or None

    await eventually("the short sleep is over", staged)
    return await claim_this(storage.jobs(NAMESPACE), held)


@pytest.mark.parametrize("again", [False, True], ids=["for the first time", "again"])
@pytest.mark.parametrize("ends", [*itertools.product(["commit", "rollback"], repeat=2)], ids=" and ".join)
async def test_whatever_the_order_no_wake_up_is_lost(
    live_storage: Storage, postgres_url: str, ends: tuple[str, str], again: bool
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    jobs, tokens = live_storage.jobs(NAMESPACE), live_storage.tokens(NAMESPACE)
    async with AsyncExitStack() as stack:
        watch, *both = [await stack.enter_async_context(connected(postgres_url)) for _ in range(3)]
        for places in itertools.combinations(range(5), 2):  # where among the five statements those of the suspend are
            token = await given_token(live_storage)
            held = await given_held(live_storage, token, again=again)
            before = (await told(live_storage, held.id)).count(EventName.RESUMED)
            suspending, completing = (Actor(connection, watch) for connection in both)
            of_one = iter(of_suspend(live_storage, held, token, ends[0]))
            of_other = iter(of_complete(live_storage, token, ends[1]))
            for place in range(5):
                if place in places:
                    await suspending.act(next(of_one))
                else:
                    await completing.act(next(of_other))
            await suspending.finished()
            await completing.finished()

            if ends[0] == "rollback":
                assert (await jobs.get(held.id)).status is JobStatus.PROCESSING
                assert await jobs.suspend([held.lease], waits=[[a_wait_for(token)]]) == [Reported.OK]
            if ends[1] == "rollback":
                assert (await jobs.get(held.id)).status is JobStatus.WAITING
                assert (await tokens.complete(token.id, output=YES)).woken == {held.job_type}
            assert (await jobs.get(held.id)).status is JobStatus.PENDING, places
            assert (await told(live_storage, held.id)).count(EventName.RESUMED) == before + 1
            step = (await steps_of(live_storage, held.id))[0]
            assert (step.name, step.outcome, step.value) == ("approve", StepOutcome.OK, YES)


async def test_a_suspend_that_waits_for_its_job_holds_the_token_and_is_found_by_who_ends_it(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs, token = live_storage.jobs(NAMESPACE), await given_token(live_storage)
    held = await given_claimed_job(live_storage)
    async with connected(postgres_url) as other, connected(postgres_url) as watch:
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        suspending = asyncio.create_task(jobs.suspend([held.lease], waits=[[a_wait_for(token)]]))
        await eventually("the suspend waits", lambda: waiting(watch, 1))
        completing = asyncio.create_task(live_storage.tokens(NAMESPACE).complete(token.id, output=YES))
        await eventually("and who completes waits for it", lambda: waiting(watch, 2))
        await lock.rollback()
        assert await suspending == [Reported.OK]
        assert (await completing).woken == {held.job_type}
    assert (await jobs.get(held.id)).status is JobStatus.PENDING


async def waiting(watch: Any, count: int) -> bool | None:
    """Whether so many connections wait for a lock."""
    found = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    return True if await watch.fetchval(found) == count else None


@pytest.mark.parametrize("how", ["delete", "sweep"])
async def test_who_deletes_a_job_lets_go_for_who_ends_its_token(
    live_storage: Storage, postgres_url: str, how: str
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    jobs, held = live_storage.jobs(NAMESPACE), await given_claimed_job(live_storage)
    token = await given_token_of(live_storage, held.lease)
    await jobs.suspend([held.lease], waits=[[a_wait_for(token)]])
    await jobs.cancel([held.id])
    async with connected(postgres_url) as other, connected(postgres_url) as watch:
        await other.execute("begin")
        await live_storage.database.run_on(other, "tokens/hold", id=token.id, namespace_id=1)
        deleting = asyncio.create_task(_deleted(live_storage, held.id, how))
        await eventually("it holds the job and wants the token", lambda: waiting(watch, 1))
        await asyncio.wait_for(finished(live_storage, other, [token.id]), 0.9)
        await other.execute("commit")
        await deleting
        assert await watch.fetchval(DEADLOCKS) == 0
    for gone in (jobs.get(held.id), live_storage.tokens(NAMESPACE).get(token.id)):
        with pytest.raises(NotFound):
            await gone


async def _deleted(storage: Storage, job_id: UUID, how: str) -> None:
    jobs = storage.jobs(NAMESPACE)
    if how == "delete":
        await jobs.delete([job_id])
    else:
        assert (await jobs.sweep(Verb.DELETE, JobFilter(), before=None, limit=10)).changed == 1


async def test_crossing_suspends_ends_cancels_and_deletions_never_deadlock(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs, tokens, chance = live_storage.jobs(NAMESPACE), live_storage.tokens(NAMESPACE), random.Random(3)
    for _ in range(4):
        made = [await given_token(live_storage) for _ in range(8)]
        held = await given_claimed_jobs(live_storage, 120)

        async def suspend(some: Sequence[ClaimedJob], made: Sequence[Token]) -> None:
            waits = [[a_wait_for(one, name=str(one.id)) for one in chance.sample(made, 3)] for _ in some]
            await jobs.suspend([job.lease for job in some], waits=waits)

        async def cancel(some: Sequence[ClaimedJob]) -> None:
            ids = [job.id for job in some]
            await jobs.cancel(ids)
            await jobs.delete(ids)

        await asyncio.gather(
            *(suspend(chance.sample(held, 12), made) for _ in range(12)),
            *(tokens.complete(one.id, output=YES) for one in made),
            *(cancel(chance.sample(held, 5)) for _ in range(6)),
            *(live_storage.upkeep.stage(limit=100) for _ in range(3)),
        )
        left = [job for job in await _found(live_storage, held) if job.status is JobStatus.WAITING]
        assert left == []
    async with connected(postgres_url) as watch:
        assert await watch.fetchval(DEADLOCKS) == 0


async def _found(storage: Storage, held: Sequence[ClaimedJob]) -> list[Any]:
    found = []
    for job in held:
        try:
            found.append(await storage.jobs(NAMESPACE).get(job.id))
        except NotFound:
            continue
    return found


async def test_who_ends_a_token_and_is_cut_off_leaves_the_rest_to_upkeep(
    live_storage: Storage, postgres_url: str
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    jobs, token = live_storage.jobs(NAMESPACE), await given_token(live_storage)
    held = await given_claimed_jobs(live_storage, 7)
    await jobs.suspend([job.lease for job in held], waits=[[a_wait_for(token)]] * 7)
    async with connected(postgres_url) as other, other.transaction():
        await live_storage.database.run_on(other, "tokens/hold", id=token.id, namespace_id=1)
        await finished(live_storage, other, [token.id], limit=3)
    assert len(await claim(jobs, held[0].job_type)) == 3
    assert await live_storage.upkeep.prune_tokens(keep=-SECOND, limit=10) == 0, "some have not heard of it"
    assert (await live_storage.upkeep.stage(limit=10)).count == 4
    assert len(await claim(jobs, held[0].job_type)) == 4
    assert (await live_storage.upkeep.stage(limit=10)).count == 0
    for job in held:
        assert (await told(live_storage, job.id)).count(EventName.RESUMED) == 1
        assert [step.value for step in await steps_of(live_storage, job.id)] == [YES]


async def test_completing_is_answered_though_the_connection_breaks_while_the_rest_is_woken(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "MOST_WAITERS", 3)
    severing = Severing(postgres_url, tmp_path)
    server = await asyncio.start_unix_server(severing.serve, path=str(severing.path))
    storage = open_storage(severing.url)
    try:
        jobs, token, held = storage.jobs(NAMESPACE), await given_token(storage), await given_claimed_jobs(storage, 10)
        await jobs.suspend([job.lease for job in held], waits=[[a_wait_for(token)]] * 10)
        severing.cut_when("waking for update skip locked")
        ended = await storage.tokens(NAMESPACE).complete(token.id, output=YES)
        assert (ended.is_first, ended.token.output, severing.cuts) == (True, YES, 1)
        assert len(await claim(jobs, held[0].job_type)) == 3

        async def rest() -> bool | None:  # once the server has noticed that the connection is gone
            await storage.upkeep.stage(limit=10)
            return await watch.fetchval("select not exists (select from dataqueue.token where waking)") or None

        async with connected(postgres_url) as watch:
            await eventually("upkeep has woken the rest", rest)
        assert len(await claim(jobs, held[0].job_type)) == 7
    finally:
        await storage.close()
        server.close()


async def test_of_many_tokens_that_end_together_each_that_is_not_done_stays_marked(
    live_storage: Storage, postgres_url: str
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    jobs, made = live_storage.jobs(NAMESPACE), [await given_token(live_storage) for _ in range(4)]
    held = await given_claimed_jobs(live_storage, 12)
    waits = [[a_wait_for(made[number % 3])] for number in range(12)]
    await jobs.suspend([job.lease for job in held], waits=waits)
    ids = sorted(token.id for token in made)
    async with connected(postgres_url) as other, other.transaction():
        await finished(live_storage, other, ids, limit=6)
    assert (await live_storage.upkeep.expire_tokens(limit=10)).woken == {held[0].job_type}
    assert len(await claim(jobs, held[0].job_type)) == 12
