"""`dataqueue_enqueue`, as any language calls it: what it takes, what it refuses, and who may call it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest
from sqlalchemy import make_url

from dataqueue.domain.job import Job
from dataqueue.ids import new_id
from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.opening import migrate
from dataqueue.storage.port import Hint, Storage
from tests.hearing import listening
from tests.storage.given import NAMESPACE, claim, new_job, told
from tests.storage.raw import connected
from tests.storage.test_postgres_within import MARK

DEEP: Final = "[" * 64 + "]" * 64
LARGEST: Final = '"' + "x" * (262_144 - 2) + '"'


@pytest.fixture
async def psql(postgres_url: str, live_storage: Storage) -> AsyncIterator[Any]:
    """A session in a database whose job types `mail` and `fax` are known."""
    await live_storage.jobs(NAMESPACE).enqueue([[new_job(job_type="mail"), new_job(job_type="fax")]])
    await claim(live_storage.jobs(NAMESPACE), "mail", "fax")
    async with connected(postgres_url) as connection:
        yield connection


async def call(psql: Any, arguments: str) -> Any:
    """What a call answers; sent as a text, as a shell does."""
    return await psql.fetchrow(f"select * from dataqueue_enqueue({arguments})")


async def job_of(storage: Storage, psql: Any, arguments: str) -> Job:
    """The job that a call makes."""
    answer = await call(psql, arguments)
    assert dict(answer) == {"id": answer["id"], "status": "pending", "created": True}
    return await storage.jobs(NAMESPACE).get(answer["id"])


async def test_a_type_is_all_that_is_needed(live_storage: Storage, psql: Any) -> None:
    job = await job_of(live_storage, psql, "'mail'")
    assert (job.job_type, job.payload, job.priority, job.tags, job.max_attempts) == ("mail", "{}", 0, (), 3)
    assert (job.run_at, job.pending_reason) == (job.created_at, None)
    assert await told(live_storage, job.id) == ["job:added"]
    assert [claimed.id for claimed in await claim(live_storage.jobs(NAMESPACE), "mail")] == [job.id]


async def test_null_means_not_given(live_storage: Storage, psql: Any) -> None:
    names = (
        "payload priority run_at delay tags idempotency_key max_attempts timeout_ms retry_delay retry_backoff"
        " retry_delay_max dead_letter_job_type id namespace force_kill_on_timeout"
    )
    job = await job_of(live_storage, psql, "'mail', " + ", ".join(f"{name} => null" for name in names.split()))
    plain = await job_of(live_storage, psql, "'mail'")
    own = {"id", "run_at", "created_at", "updated_at", "seq"}
    assert all(getattr(job, name) == getattr(plain, name) for name in job.__slots__ if name not in own)


async def test_everything_that_is_given_is_kept(live_storage: Storage, psql: Any) -> None:
    id = new_id()
    job = await job_of(
        live_storage,
        psql,
        f"""'mail', '{{"to": "ż"}}', priority => 32767, run_at => '2200-12-31T23:59:59.999999Z', tags => '{{b,a,b}}',
            idempotency_key => 'k', max_attempts => 1000, timeout_ms => 3153600000000, retry_delay => 0.5,
            retry_backoff => false, retry_delay_max => 0, dead_letter_job_type => 'fax', id => '{id}',
            force_kill_on_timeout => true""",
    )
    assert (job.id, job.payload, job.priority, job.tags) == (id, '{"to": "ż"}', 32767, ("b", "a"))
    assert (job.run_at.isoformat(), job.pending_reason) == ("2200-12-31T23:59:59.999999+00:00", "scheduled")
    assert (job.idempotency_key, job.max_attempts, job.timeout_ms) == ("k", 1000, 3_153_600_000_000)
    assert (job.retry_delay, job.retry_backoff, job.retry_delay_max) == (0.5, False, 0)
    assert (job.dead_letter_job_type, job.force_kill_on_timeout) == ("fax", True)


@pytest.mark.parametrize(
    "payload",
    [
        "null",
        ' {"a" :\n\t[1,  2.50, 1e2, 123456789012345678901234567890], "a": "dup", "":{}} ',
        r'"\u00e9 \ud83d\ude00 \\u0000 \/"',
        "1.7976931348623157e308",
        "1e-400",
        '"1e999"',
        "9" * 4300,
        DEEP,
        '{"a":' + "[{}]" + "," + '"b":"' + "[" * 99 + '"}',
        json.dumps(["[[[{{{" * 40, '\\"[[['] * 20),
        LARGEST,
    ],
    ids=lambda payload: payload[:20],
)
async def test_a_payload_is_kept_to_the_byte(payload: str, live_storage: Storage, psql: Any) -> None:
    answer = await psql.fetchrow("select * from dataqueue_enqueue('mail', $1::text::json)", payload)
    assert (await live_storage.jobs(NAMESPACE).get(answer["id"])).payload == payload
    assert [claimed.payload for claimed in await claim(live_storage.jobs(NAMESPACE), "mail")] == [payload]


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (r'{"a":"\u0000"}', "holds a NUL character or half of a surrogate pair"),
        (r'{"\\\u0000":1}', "holds a NUL character or half of a surrogate pair"),
        (r'"\ud83d"', "holds a NUL character or half of a surrogate pair"),
        (r'"\ude00\ud83d"', "holds a NUL character or half of a surrogate pair"),
        ("1e309", "holds a number that is not finite"),
        ('{"a":[-1.8E+308]}', "holds a number that is not finite"),
        ("0.1e0000310", "holds a number that is not finite"),
        ("9" * 250 + "e99", "holds a number that is not finite"),
        ("9" * 310 + ".0", "holds a number that is not finite"),
        ("1e999999999", "holds a number that is not finite"),
        ("9" * 4301, "holds an integer of more than 4300 digits"),
        (f"[{DEEP}]", "is nested deeper than 64 levels"),
        ('{"a":[' * 33 + "]}" * 33, "is nested deeper than 64 levels"),
        ("[" * 3000 + "]" * 3000, "is nested deeper than 64 levels"),
        (LARGEST + " ", "is larger than the limit of 262144 bytes"),
        (json.dumps("ż" * 131_072, ensure_ascii=False), "is larger than the limit of 262144 bytes"),
    ],
    ids=lambda text: text[:20],
)
async def test_json_that_the_next_reader_would_not_take_is_refused(payload: str, says: str, psql: Any) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
        await psql.fetchrow("select * from dataqueue_enqueue('mail', $1::text::json)", payload)
    assert refused.value.message == f"dataqueue_enqueue: payload {says}"


REFUSED: Final = [
    ("null", "job_type"),
    ("''", "job_type"),
    ("'with space'", "job_type"),
    ("E'mail\\n'", "job_type"),
    ("'mäil'", "job_type"),
    ("repeat('x', 201)", "job_type"),
    ("'mail', dead_letter_job_type => ''", "dead_letter_job_type"),
    ("'mail', dead_letter_job_type => 'a,b'", "dead_letter_job_type"),
    ("'mail', priority => 32768", "priority"),
    ("'mail', priority => -32769", "priority"),
    ("'mail', run_at => '1999-12-31T23:59:59.999999Z'", "run_at"),
    ("'mail', run_at => '2201-01-01T00:00Z'", "run_at"),
    ("'mail', run_at => 'infinity'", "run_at"),
    ("'mail', run_at => '-infinity'", "run_at"),
    ("'mail', run_at => now(), delay => '1 s'", "delay"),
    ("'mail', delay => '0'", "delay"),
    ("'mail', delay => '-1 s'", "delay"),
    ("'mail', delay => '36501 days'", "delay"),
    ("'mail', tags => array_fill('x'::text, array[51])", "tags"),
    ("'mail', tags => array['']", "tags"),
    ("'mail', tags => array['a', null]", "tags"),
    ("'mail', tags => array[repeat('ż', 201)]", "tags"),
    ("'mail', tags => '{{a},{b}}'", "tags"),
    ("'mail', idempotency_key => ''", "idempotency_key"),
    ("'mail', idempotency_key => repeat('ż', 256)", "idempotency_key"),
    ("'mail', max_attempts => 0", "max_attempts"),
    ("'mail', max_attempts => 1001", "max_attempts"),
    ("'mail', timeout_ms => 0", "timeout_ms"),
    ("'mail', timeout_ms => 3153600000001", "timeout_ms"),
    ("'mail', force_kill_on_timeout => true", "force_kill_on_timeout"),
    ("'mail', retry_delay => -0.1", "retry_delay"),
    ("'mail', retry_delay => 'NaN'", "retry_delay"),
    ("'mail', retry_delay => 'infinity'", "retry_delay"),
    ("'mail', retry_delay_max => 3153600001", "retry_delay_max"),
    ("'mail', id => '5bd2bdb4-6a8a-4c62-8a33-e4d5a6f0a4a7'", "id"),
    ("'mail', id => '01936b2e-7c4a-7d3f-0b1c-5f0e8a2d4c61'", "id"),
    ("'mail', namespace => 'nowhere'", "namespace"),
    ("'mail', namespace => ''", "namespace"),
]
ACCEPTED: Final = [
    "'mail', force_kill_on_timeout => false",
    "repeat('x', 200)",
    "'aZ09._:/@-'",
    "'mail', priority => -32768",
    "'mail', run_at => '2000-01-01T00:00Z'",
    "'mail', delay => '1 microsecond'",
    "'mail', delay => '36500 days'",
    "'mail', tags => array_fill('x'::text, array[50])",
    "'mail', tags => array[repeat('ż', 200)]",
    "'mail', tags => '{}'",
    "'mail', idempotency_key => repeat('ż', 255)",
    "'mail', max_attempts => 1, timeout_ms => 1, retry_delay => 3153600000",
]


@pytest.mark.parametrize(("arguments", "field"), REFUSED)
async def test_an_argument_out_of_its_range_is_named_with_what_to_do(arguments: str, field: str, psql: Any) -> None:
    count = "select count(*) from dataqueue.job_spec"
    before = await psql.fetchval(count)
    with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
        await call(psql, arguments)
    assert refused.value.message.startswith(f"dataqueue_enqueue: {field} ")
    assert refused.value.column_name == field
    assert refused.value.hint
    assert await psql.fetchval(count) == before


@pytest.mark.parametrize("arguments", ACCEPTED)
async def test_an_argument_at_the_end_of_its_range_is_taken(arguments: str, psql: Any) -> None:
    assert (await call(psql, arguments))["created"]


async def test_what_is_no_json_is_refused_by_its_type(psql: Any) -> None:
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await call(psql, "'mail', 'nonsense'")


async def test_a_repeat_answers_the_first_job_with_its_status_now(live_storage: Storage, psql: Any) -> None:
    first = await call(psql, "'mail', '1', idempotency_key => 'k'")
    repeat = await call(psql, "'fax', '2', idempotency_key => 'k'")
    assert dict(repeat) == {"id": first["id"], "status": "pending", "created": False}
    await claim(live_storage.jobs(NAMESPACE), "mail")
    assert (await call(psql, "'mail', idempotency_key => 'k'"))["status"] == "processing"
    own = await call(psql, f"'mail', id => '{first['id']}', idempotency_key => 'k'")
    assert (own["id"], own["created"]) == (first["id"], False)


async def test_an_id_that_is_taken_is_refused(psql: Any) -> None:
    taken = (await call(psql, "'mail', idempotency_key => 'k'"))["id"]
    for more in ("", ", idempotency_key => 'other'"):
        with pytest.raises(asyncpg.UniqueViolationError, match=f"a job with the id {taken} already exists") as refused:
            await call(psql, f"'mail', id => '{taken}'{more}")
        assert refused.value.hint


@pytest.mark.parametrize(("delay", "days"), [("1 day", 1), ("1 month", 30), ("1 year", 365.25)])
async def test_a_delay_is_so_many_seconds_whatever_the_calendar_says(
    delay: str, days: float, live_storage: Storage, psql: Any
) -> None:
    await psql.execute("set timezone = 'Europe/Warsaw'")
    job = await job_of(live_storage, psql, f"'mail', delay => '{delay}'")
    assert job.run_at - job.created_at == timedelta(days=days)


async def test_a_job_is_created_when_it_is_asked_for_and_not_when_its_transaction_began(
    live_storage: Storage, psql: Any
) -> None:
    async with psql.transaction():
        began = await psql.fetchval("select now()")
        first = (await call(psql, "'mail'"))["id"]
        between = await psql.fetchval("select clock_timestamp()")
        second = (await call(psql, "'mail'"))["id"]
    jobs = live_storage.jobs(NAMESPACE)
    one, two = await jobs.get(first), await jobs.get(second)
    assert began < one.created_at < between < two.created_at
    assert one.seq < two.seq


async def test_what_the_type_says_holds_for_a_job_that_says_nothing(live_storage: Storage, psql: Any) -> None:
    await psql.execute("""update dataqueue.job_type
        set options = '{"max_attempts": 7, "timeout_ms": 5, "retry_delay": 2}' where name = 'mail'""")
    job = await job_of(live_storage, psql, "'mail'")
    assert (job.max_attempts, job.timeout_ms, job.retry_delay) == (7, 5, 2)
    job = await job_of(live_storage, psql, "'mail', max_attempts => 1, retry_backoff => false")
    assert (job.max_attempts, job.timeout_ms, job.retry_delay, job.retry_backoff) == (1, 5, None, False)


async def test_another_namespace_is_reached_by_its_name(live_storage: Storage, psql: Any) -> None:
    await psql.execute("insert into dataqueue.namespace (name) values ('shop \"ż\"')")
    answer = await call(psql, "'mail', namespace => 'shop \"ż\"'")
    await live_storage.upkeep.stage(limit=10)
    assert [job.id for job in await claim(live_storage.jobs('shop "ż"'), "mail")] == [answer["id"]]
    assert await claim(live_storage.jobs(NAMESPACE), "mail") == []


async def test_tags_and_types_are_counted_as_those_of_any_job(psql: Any) -> None:
    await call(psql, "'mail', tags => '{a,b,a}'")
    counted = "select sum(n) from dataqueue.tag_delta where tag = any('{a,b}') and status = 'pending'"
    assert await psql.fetchval(counted) == 2
    labelled = "select array_agg(tag order by tag) from dataqueue.job_tag"
    assert await psql.fetchval(labelled) == ["a", "b"]


async def test_many_calls_of_one_statement_make_many_jobs_in_order(live_storage: Storage, psql: Any) -> None:
    await psql.execute("create table bill (id int)")
    await psql.execute("insert into bill select generate_series(1, 50)")
    await psql.execute("select dataqueue_enqueue('mail', json_build_object('bill', id)) from bill order by id")
    claimed = await claim(live_storage.jobs(NAMESPACE), "mail")
    assert [json.loads(job.payload)["bill"] for job in claimed] == list(range(1, 51))


async def test_a_hint_says_what_is_ready_and_only_that(live_storage: Storage, psql: Any) -> None:
    async with live_storage.notifier.listen() as hints:
        await listening(hints)
        await call(psql, "'mail', delay => '1 hour'")
        await call(psql, "'mail', idempotency_key => 'k'")
        assert await asyncio.wait_for(anext(hints), 5) == Hint("ready", NAMESPACE, ("mail",))
        await call(psql, "'mail', idempotency_key => 'k'")
        await psql.execute("set dataqueue.notify = off")
        await call(psql, "'mail'")
        await call(psql, "'never-seen'")
        await psql.execute("reset dataqueue.notify")
        await call(psql, "'never-seen'")
        assert await asyncio.wait_for(anext(hints), 5) == Hint("admit", NAMESPACE)
        await live_storage.notifier.publish(MARK)
        assert await asyncio.wait_for(anext(hints), 5) == MARK


@pytest.fixture
async def guest(postgres_url: str, psql: Any) -> AsyncIterator[Any]:
    """A session of a role that may only enqueue."""
    name = f"guest_{make_url(postgres_url).database}"
    await psql.execute(f"create role {name} login in role dataqueue_enqueuer")
    async with connected(make_url(postgres_url).set(username=name).render_as_string()) as connection:
        yield connection
    await psql.execute(f"drop owned by {name}; drop role {name}")


async def test_a_role_that_may_only_enqueue_can(live_storage: Storage, guest: Any) -> None:
    known = await call(guest, "'mail', tags => '{a}', idempotency_key => 'k'")
    unknown = await call(guest, "'never-seen', dead_letter_job_type => 'graveyard'")
    await live_storage.upkeep.stage(limit=10)
    claimed = await claim(live_storage.jobs(NAMESPACE), "mail", "never-seen")
    assert {job.id for job in claimed} == {known["id"], unknown["id"]}


async def test_a_role_that_may_only_enqueue_can_do_nothing_else(guest: Any, psql: Any) -> None:
    relations = await psql.fetch("""select format('%I.%I', nspname, relname) as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where nspname = 'dataqueue' and relkind in ('r', 'p', 'S', 'v')""")
    functions = await psql.fetch("""select format('%I.%I', nspname, proname) as name, pronargs from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace where nspname = 'dataqueue'""")
    assert len(relations) > 20
    assert len(functions) >= 6
    forbidden = [f"select * from {relation['name']}" for relation in relations]
    forbidden += [f"delete from {relation['name']}" for relation in relations]
    forbidden += [f"insert into {relation['name']} default values" for relation in relations]
    forbidden += [
        f"select {one['name']}({', '.join(['null'] * one['pronargs'])})" for one in functions if one["pronargs"] >= 0
    ]
    for statement in forbidden:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await guest.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await guest.execute("set role queue")


async def test_nobody_else_may_enqueue(postgres_url: str, psql: Any) -> None:
    name = f"stranger_{make_url(postgres_url).database}"
    await psql.execute(f"create role {name} login")
    async with connected(make_url(postgres_url).set(username=name).render_as_string()) as stranger:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await call(stranger, "'mail'")
    await psql.execute(f"drop role {name}")


async def test_what_the_caller_makes_under_our_names_does_not_lead_it_astray(
    live_storage: Storage, guest: Any, psql: Any
) -> None:
    await psql.execute("grant create, usage on schema public to public")
    await guest.execute("""create function public.clock_timestamp() returns timestamptz language plpgsql as
        $$ begin raise exception 'astray'; end $$""")
    await guest.execute("set search_path = public, pg_catalog")
    with pytest.raises(asyncpg.RaiseError, match="astray"):
        await guest.execute("select clock_timestamp()")
    answer = await guest.fetchrow("select * from public.dataqueue_enqueue('mail')")
    assert (await live_storage.jobs(NAMESPACE).get(answer["id"])).job_type == "mail"


async def test_a_role_that_may_not_make_roles_can_migrate(postgres: EmbeddedPostgres) -> None:
    async with connected(postgres.url) as connection:
        await connection.execute("create role modest login")
        await connection.execute("create database modest_one owner modest")
        url = make_url(postgres.url_for("modest_one")).set(username="modest").render_as_string()
        await migrate(url)
        async with connected(url) as modest:
            assert (await modest.fetchrow("select * from dataqueue_enqueue('mail')"))["created"]
        await connection.execute("drop database modest_one with (force)")
        await connection.execute("drop role modest")
