"""What the verbs of durable jobs read, in buffers, and that a hundred thousand waiting jobs cost the others nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Json, Note
from dataqueue.domain.steps import NewStep
from dataqueue.domain.tokens import ANY_TOKEN, NewToken, TokenFilter, TokenStatus
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import AN_HOUR, NAMESPACE, a_wait_for, claim, given_token, new_job
from tests.storage.plans import explaining_each
from tests.storage.raw import connected

BATCH: Final = 100
FEW: Final = 3_000
MANY: Final = 100_000
SMALL: Final = {"job_type", "namespace", "job_result", "job_tag"}
KEYS: Final = {"job_pkey", "job_spec_pkey", "job_result_pkey", "job_type_pkey", "job_type_namespace_id_name_key"}
OF_STEPS: Final = {"step_pkey", "step_awaiting", "token_pkey"}
log = logging.getLogger(__name__)

# Half of them asleep, half waiting for a token each; all with three steps, and of the type that is claimed.
FILL: Final = """
with made as (
    insert into dataqueue.job (id, namespace_id, job_type_id, status, run_at, wake_at, attempts, invocation, started_at,
        updated_at, created_at, has_steps, resumes)
    select dataqueue.uuid7(), 1, t.id, 'waiting', now() - n * interval '1 second',
        case n % 2 when 0 then now() + n * interval '1 second' + interval '1 day' end, 1, 1, now(), now(), now(), true,
        true
    from generate_series(1, $1) as n, dataqueue.job_type as t where t.name = 'mail'
    returning id, job_type_id, seq, wake_at
), specified as (
    insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, created_at)
    select id, 1, job_type_id, seq, '{}', now() from made
), tokens as (
    insert into dataqueue.token (id, namespace_id, job_id, name, timeout_at, created_at)
    select dataqueue.uuid7(), 1, id, 'ask', now() + interval '1 day', now() from made where wake_at is null
    returning id, job_id
), ran as (
    insert into dataqueue.step (job_id, name, kind, outcome, value, at)
    select id, 'step ' || n, 'run', 'ok', '1', now() from made, generate_series(1, 2) as n
)
insert into dataqueue.step (job_id, name, kind, token_id, until, awaited_by, at)
select made.id, 'wait', case when wake_at is null then 'token' else 'sleep' end, tokens.id, wake_at, 1, now()
from made left join tokens on tokens.job_id = made.id
"""


async def given_waiting(storage: PostgresStorage, url: str, count: int) -> None:
    """Jobs that wait, and statistics that know of them."""
    job = new_job(job_type="mail")
    await storage.jobs(NAMESPACE).enqueue([[job]])
    await storage.jobs(NAMESPACE).cancel([job.id])
    async with connected(url) as connection:
        for table in ("job", "job_spec", "job_result", "step", "token", "event_default"):
            await connection.execute(f"alter table dataqueue.{table} set (autovacuum_enabled = false)")
        await connection.execute(FILL, count, timeout=60)
        await connection.execute("vacuum analyze")


async def held(storage: PostgresStorage) -> list[ClaimedJob]:
    jobs = storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="mail") for _ in range(BATCH)]])
    return await claim(jobs, "mail", limit=BATCH)


async def measured(storage: PostgresStorage) -> tuple[dict[str, float], dict[str, set[str]], set[str]]:
    """Of each verb: buffers for each job; the indexes it used; what it read from end to end."""
    jobs, steps, tokens = storage.jobs(NAMESPACE), storage.steps(NAMESPACE), storage.tokens(NAMESPACE)
    buffers: dict[str, float] = {}
    indexes: dict[str, set[str]] = {}
    whole: set[str] = set()

    async def measure(name: str, act: Callable[[], Awaitable[object]]) -> None:
        async with explaining_each(storage.database) as plans:
            await act()
        buffers[name] = sum(plan.buffers() for plan in plans) / BATCH
        indexes[name] = set().union(*(plan.indexes_used() for plan in plans))
        whole.update(f"{name}: {table}" for plan in plans for table in plan.tables_read_whole() - SMALL)

    await jobs.enqueue([[new_job(job_type="mail") for _ in range(BATCH)]])
    await measure("claim", lambda: claim(jobs, "mail", limit=BATCH))
    taken = await held(storage)
    leases, token = [job.lease for job in taken], await given_token(storage)
    await measure("save", lambda: steps.save([(lease, NewStep(name="a", value=Json("1"))) for lease in leases]))
    await measure("save again", lambda: steps.save([(lease, NewStep(name="a", value=Json("1"))) for lease in leases]))
    made = [(lease, NewStep(name="ask", token=NewToken(id=new_id()))) for lease in leases]
    await measure("make tokens", lambda: steps.save(made))
    await measure("note", lambda: jobs.note(leases, notes=[Note(progress=1)] * BATCH))
    await measure("suspend", lambda: jobs.suspend(leases, waits=[[AN_HOUR, a_wait_for(token)]] * BATCH))
    await measure("complete a token", lambda: tokens.complete(token.id, output=Json("1")))
    await measure("read steps", lambda: steps.of_jobs([taken[0].id]))
    await measure("get", lambda: jobs.get(taken[0].id))
    again = await claim(jobs, "mail", limit=BATCH)
    await measure("complete", lambda: jobs.complete([job.lease for job in again], outputs=[None] * BATCH))
    await measure("delete", lambda: jobs.delete([job.id for job in again]))
    await storage.upkeep.stage(limit=BATCH)  # the tokens of the jobs that are gone
    await measure("look for what is due", lambda: storage.upkeep.stage(limit=BATCH))
    await measure("page of tokens", lambda: tokens.page(ANY_TOKEN, before=None, limit=BATCH))
    completed = TokenFilter(statuses=(TokenStatus.COMPLETED,))
    await measure("page of completed tokens", lambda: tokens.page(completed, before=None, limit=BATCH))
    await measure("page of jobs", lambda: jobs.page(JobFilter(), before=None, limit=BATCH))
    return buffers, indexes, whole


async def test_what_durable_jobs_cost_does_not_grow_with_those_that_wait(
    live_storage: Storage, postgres_url: str
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await given_waiting(live_storage, postgres_url, FEW)
    few, *_ = await measured(live_storage)
    await given_waiting(live_storage, postgres_url, MANY)
    many, indexes, whole = await measured(live_storage)
    log.info("buffers per job with few and with many jobs that wait: %s, %s", few, many)
    too_many = {verb: (few[verb], many[verb]) for verb in few if many[verb] > 1.3 * few[verb] + 2}
    assert not too_many
    assert not whole
    assert indexes["claim"] <= {*KEYS, "job_ready"}
    assert indexes["suspend"] <= KEYS | OF_STEPS
    assert indexes["complete a token"] <= KEYS | OF_STEPS
    assert many["look for what is due"] * BATCH < 30


async def test_a_job_without_steps_pays_nothing_for_them(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await given_waiting(live_storage, postgres_url, FEW)
    jobs, plain = live_storage.jobs(NAMESPACE), new_job(job_type="plain")
    await jobs.enqueue([[plain]])
    async with explaining_each(live_storage.database) as plans:
        await jobs.get(plain.id)
        await jobs.page(JobFilter(job_types=("plain",)), before=None, limit=10)
        [claimed] = await claim(jobs, "plain")
        await jobs.complete([claimed.lease], outputs=[None])
        await jobs.delete([plain.id])
    assert {plan.buffers_for(index) for plan in plans for index in OF_STEPS | {"token_of_job"}} == {0}
