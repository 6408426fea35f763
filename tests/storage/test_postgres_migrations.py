"""The revisions, the schema they build, and what a storage says of a database that is not at ours."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy.engine import make_url

from dataqueue.domain.job import JobStatus
from dataqueue.errors import StorageNotReady, StorageUnavailable
from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.binaries import find_binaries
from dataqueue.storage.opening import migrate, open_storage
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.statements import split_script
from tests.storage.given import (
    AN_HOUR,
    NAMESPACE,
    a_wait_for,
    claim_this,
    events_of,
    given_job,
    given_token,
    given_waiting_job,
    new_job,
)
from tests.storage.raw import connected

SCHEMA: Final = files("dataqueue.storage.postgres")
SCRIPTS: Final = ("schema.sql", "functions.sql", "counting.sql", "enqueue_checks.sql", "enqueue_function.sql")
OURS: Final = """select relname from pg_class where relnamespace = 'dataqueue'::regnamespace
    union all select proname from pg_proc where pronamespace = 'dataqueue'::regnamespace
    union all select proname from pg_proc where proname like 'dataqueue%' order by 1"""
PARTITIONS: Final = """select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'dataqueue.event'::regclass order by 1"""
_numbers = itertools.count()


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database in which nobody has made anything."""
    name = f"empty_{next(_numbers)}"
    async with connected(postgres.url) as connection:
        await connection.execute(f'create database "{name}"')
        yield postgres.url_for(name)
        await connection.execute(f'drop database "{name}" with (force)')


def dumped(url: str) -> str:
    """The definitions in our schema, without the version table and the partitions that depend on the day."""
    parsed = make_url(url)
    command = [
        str(find_binaries(account_for(Path("/nowhere"))).tool("pg_dump")),
        *("--schema-only", "--schema=dataqueue", "--schema=public", "--no-owner", "--no-privileges"),
        *("--exclude-table=dataqueue.alembic_version", "--exclude-table=dataqueue.event_2*"),
        *("--host", str(parsed.query["host"]), "--port", "5432", "--username", str(parsed.username)),
        str(parsed.database),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert not answer.returncode, answer.stderr
    lines = answer.stdout.splitlines()
    # Newer versions open and close with \restrict and a random word.
    return "\n".join(line for line in lines if line and not line.startswith(("--", "\\")))


async def names(url: str, query: str) -> list[str]:
    async with connected(url) as connection:
        return [row[0] for row in await connection.fetch(query)]


async def run_scripts(url: str, *scripts: str) -> None:
    async with connected(url) as connection:
        for script in scripts:
            await connection.execute(SCHEMA.joinpath(script).read_text())


async def check(url: str) -> None:
    storage = open_storage(url)
    try:
        await storage.check()
    finally:
        await storage.close()


async def test_the_revisions_build_the_schema_as_it_is_written_down(empty_url: str, postgres_url: str) -> None:
    await run_scripts(empty_url, *SCRIPTS)
    written, built = dumped(empty_url), dumped(postgres_url)
    assert written == built
    for table in ("job", "job_spec", "job_result", "event_default"):
        assert f"CREATE TABLE dataqueue.{table} " in built


async def test_the_scripts_split_as_the_revisions_split_them_build_the_same(empty_url: str, postgres_url: str) -> None:
    async with connected(empty_url) as connection:
        for script in SCRIPTS:
            for statement in split_script(SCHEMA.joinpath(script).read_text()):
                await connection.execute(statement)
    assert dumped(empty_url) == dumped(postgres_url)


async def test_a_database_that_was_built_by_the_revisions_can_serve(empty_url: str) -> None:
    await migrate(empty_url)
    await check(empty_url)
    storage = open_storage(empty_url)
    job = await given_job(storage)
    assert job.namespace == NAMESPACE
    await storage.close()


async def test_going_down_leaves_nothing_but_the_version_table_and_going_up_again_builds_the_same(
    postgres_url: str,
) -> None:
    before = dumped(postgres_url)
    storage = open_storage(postgres_url)
    await given_job(storage, tags=("a",))
    await storage.close()

    await migrate(postgres_url, revision="base")
    assert await names(postgres_url, OURS) == ["alembic_version", "alembic_version_pkc"]
    assert await names(postgres_url, "select version_num from dataqueue.alembic_version") == []

    await migrate(postgres_url)
    assert dumped(postgres_url) == before
    await check(postgres_url)


async def test_one_step_down_and_up_is_possible(postgres_url: str) -> None:
    before = dumped(postgres_url)
    await migrate(postgres_url, revision="-1")
    await migrate(postgres_url, revision="head")
    assert dumped(postgres_url) == before


async def test_whoever_was_allowed_to_enqueue_from_sql_still_is_after_a_step_down_and_up(postgres_url: str) -> None:
    allowed = """select r.rolname from pg_roles r
        where has_function_privilege(r.oid, 'public.dataqueue_enqueue'::regproc, 'execute')
            and r.rolname in ('dataqueue_enqueuer', 'guest_of_steps', 'nobody_of_steps') order by 1"""
    async with connected(postgres_url) as connection:
        await connection.execute("create role guest_of_steps; create role nobody_of_steps")
        await connection.execute("grant execute on function public.dataqueue_enqueue to guest_of_steps")
        try:
            for revision in ("0004", "head"):
                await (migrate(postgres_url, revision="-1") if revision == "0004" else migrate(postgres_url))
                assert await names(postgres_url, allowed) == ["dataqueue_enqueuer", "guest_of_steps"]
            assert await connection.fetchval("select created from dataqueue_enqueue('mail')")
        finally:
            await connection.execute("drop owned by guest_of_steps; drop role guest_of_steps, nobody_of_steps")


async def test_going_down_to_a_revision_without_steps_lets_sleepers_wake_and_the_others_be_cancelled(
    postgres_url: str,
) -> None:
    storage = open_storage(postgres_url)
    token = await given_token(storage)
    asleep, waits = await given_waiting_job(storage, AN_HOUR), await given_waiting_job(storage, a_wait_for(token))
    await migrate(postgres_url, revision="-1")
    await migrate(postgres_url)
    jobs = storage.jobs(NAMESPACE)
    assert [(await jobs.get(job.id)).status for job in (asleep, waits)] == [JobStatus.WAITING] * 2
    await jobs.cancel([waits.id])
    async with connected(postgres_url) as connection:
        await connection.execute("update dataqueue.job set wake_at = now() where wake_at is not null")
    await storage.upkeep.stage(limit=10)
    assert (await claim_this(jobs, asleep)).attempts == 1
    await storage.close()


async def test_migrating_again_changes_nothing(postgres_url: str) -> None:
    storage = open_storage(postgres_url)
    job = await given_job(storage)
    before = dumped(postgres_url), await names(postgres_url, OURS)
    await migrate(postgres_url)
    assert (dumped(postgres_url), await names(postgres_url, OURS)) == before
    assert await storage.jobs(NAMESPACE).get(job.id) == job
    await storage.close()


async def test_any_number_may_migrate_at_once(empty_url: str, postgres_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert dumped(empty_url) == dumped(postgres_url)
    assert len(await names(empty_url, "select version_num from dataqueue.alembic_version")) == 1
    await check(empty_url)


async def test_migrating_stays_out_of_the_callers_own_schema(empty_url: str) -> None:
    elsewhere = "select relname from pg_class where relnamespace = 'public'::regnamespace"
    async with connected(empty_url) as connection:
        await connection.execute("create table job (id int); create table alembic_version (version_num text)")
    await migrate(empty_url)
    assert sorted(await names(empty_url, elsewhere)) == ["alembic_version", "job"]
    assert await names(empty_url, "select version_num from public.alembic_version") == []


async def test_a_database_without_our_tables_is_not_ready_and_the_message_says_the_command(empty_url: str) -> None:
    with pytest.raises(StorageNotReady, match="`dataqueue migrate`"):
        await check(empty_url)


async def test_a_database_taken_down_again_is_not_ready(postgres_url: str) -> None:
    await migrate(postgres_url, revision="base")
    with pytest.raises(StorageNotReady, match="`dataqueue migrate`"):
        await check(postgres_url)


async def test_a_database_at_another_revision_is_not_ready_and_both_are_named(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("update dataqueue.alembic_version set version_num = 'other'")
    with pytest.raises(StorageNotReady, match=r"revision other, we need \d+: run `dataqueue migrate`"):
        await check(postgres_url)


@pytest.mark.parametrize("setting", ["plan_cache_mode", "jit"])
async def test_a_role_without_the_settings_we_need_is_not_ready_until_it_migrates(
    postgres_url: str, setting: str
) -> None:
    await check(postgres_url)
    async with connected(postgres_url) as connection:
        database = await connection.fetchval("select current_database()")
        await connection.execute(f'alter role queue in database "{database}" reset {setting}')
    with pytest.raises(StorageNotReady, match=r"=force_custom_plan and jit=off: run `dataqueue migrate`"):
        await check(postgres_url)
    await migrate(postgres_url)
    await check(postgres_url)


async def test_a_database_that_is_not_there_is_said_to_be_unavailable_or_not_ready(postgres: EmbeddedPostgres) -> None:
    with pytest.raises((StorageUnavailable, StorageNotReady)):
        await check(postgres.url_for("nobody_made_this"))


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    url = f"postgresql://queue@/postgres?host={tmp_path}"
    for asking in (check(url), migrate(url)):
        with pytest.raises(StorageUnavailable):
            await asking


async def test_work_on_a_database_without_our_tables_says_the_command(empty_url: str) -> None:
    storage = open_storage(empty_url)
    for asking in (
        storage.jobs(NAMESPACE).enqueue([[new_job()]]),
        storage.upkeep.reclaim(limit=1, max_crashes=3),
        storage.keys.any_exist(),
    ):
        with pytest.raises(StorageNotReady, match="`dataqueue migrate`"):
            await asking
    await storage.close()


async def test_migrating_makes_room_for_the_events_of_today_and_the_coming_week(postgres_url: str) -> None:
    async with connected(postgres_url) as connection:
        today = await connection.fetchval("select (now() at time zone 'UTC')::date")
    days = [f"event_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(8)]
    assert await names(postgres_url, PARTITIONS) == [*days, "event_default"]


async def test_preparing_the_event_log_again_is_harmless(live_storage: Storage, postgres_url: str) -> None:
    job = await given_job(live_storage)
    before = await names(postgres_url, PARTITIONS), await events_of(live_storage, job.id)
    await asyncio.gather(*(live_storage.upkeep.prepare_event_log() for _ in range(4)))
    assert (await names(postgres_url, PARTITIONS), await events_of(live_storage, job.id)) == before


async def without_partitions(url: str) -> None:
    """As when nobody has prepared the log for more than a week."""
    async with connected(url) as connection:
        for [partition] in await connection.fetch(PARTITIONS):
            if partition != "event_default":
                await connection.execute(f"drop table dataqueue.{partition}")


async def where_events_are(url: str) -> dict[str, int]:
    async with connected(url) as connection:
        rows = await connection.fetch(
            "select tableoid::regclass::text as part, count(*) from dataqueue.event group by 1"
        )
    return {row["part"].removeprefix("dataqueue."): row["count"] for row in rows}


async def test_events_that_nobody_made_room_for_are_kept_and_moved_when_somebody_does(
    live_storage: Storage, postgres_url: str
) -> None:
    await without_partitions(postgres_url)
    job = await given_job(live_storage)
    events = await events_of(live_storage, job.id)
    assert len(events) == 1
    assert await where_events_are(postgres_url) == {"event_default": 1}

    await live_storage.upkeep.prepare_event_log()
    assert await where_events_are(postgres_url) == {f"event_{events[0].at:%Y%m%d}": 1}
    assert await events_of(live_storage, job.id) == events
    later = await given_job(live_storage)
    assert (await events_of(live_storage, later.id))[0].id > events[0].id


async def test_an_event_beyond_all_partitions_is_kept_and_left_where_it_is(storage: Storage, postgres_url: str) -> None:
    job = await given_job(storage)
    [event] = await events_of(storage, job.id)
    assert event.at > datetime.now(UTC) + timedelta(days=30)
    await storage.upkeep.prepare_event_log()
    assert await where_events_are(postgres_url) == {"event_default": 1}
    assert await events_of(storage, job.id) == [event]


async def test_the_log_can_be_prepared_while_jobs_are_enqueued(live_storage: Storage, postgres_url: str) -> None:
    await without_partitions(postgres_url)
    jobs, made = live_storage.jobs(NAMESPACE), []

    async def keep_enqueueing(stop: asyncio.Event) -> None:
        while not stop.is_set():
            job = new_job(job_type="mail")
            await jobs.enqueue([[job]])
            made.append(job)

    stop = asyncio.Event()
    writers = [asyncio.create_task(keep_enqueueing(stop)) for _ in range(6)]
    try:
        while len(made) < 30:
            await asyncio.wait(writers, timeout=0.01)
        await live_storage.upkeep.prepare_event_log()
    finally:
        stop.set()
        await asyncio.gather(*writers)
    assert sum((await where_events_are(postgres_url)).values()) == len(made)


async def test_a_dump_does_not_stop_anybody_while_a_day_is_added_to_the_log(
    live_storage: Storage, postgres_url: str
) -> None:
    last = (await names(postgres_url, PARTITIONS))[-2]
    async with connected(postgres_url) as connection:
        await connection.execute(f"drop table dataqueue.{last}")
    async with connected(postgres_url) as dump, dump.transaction(isolation="repeatable_read"):
        await dump.fetchval("select count(*) from dataqueue.event")
        preparing = asyncio.create_task(live_storage.upkeep.prepare_event_log())
        try:
            await asyncio.wait({preparing}, timeout=0.3)
            job = await asyncio.wait_for(given_job(live_storage), 2)
            await asyncio.wait_for(events_of(live_storage, job.id), 2)
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)


def test_every_revision_follows_one_other_and_can_be_undone() -> None:
    from alembic.script import ScriptDirectory

    from dataqueue.storage.postgres.migrating import script_folder

    script = ScriptDirectory(str(script_folder()))
    revisions: list[Any] = list(script.walk_revisions())
    assert len(script.get_heads()) == 1
    assert all(hasattr(revision.module, "downgrade") for revision in revisions)
