"""`dataqueue migrate`, and what the commands say of a PostgreSQL that is not migrated."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from dataqueue.ids import new_id
from dataqueue.storage.embedded import EmbeddedPostgres
from tests.workers.test_cli import assert_one_sentence, run


@pytest.fixture
async def empty_database_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database without our tables."""
    name = f"empty_{new_id().hex}"
    connection = await asyncpg.connect(host=str(postgres.socket_folder), user="queue", database="postgres")
    try:
        await connection.execute(f'create database "{name}"')
        yield postgres.url_for(name)
        await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()


async def test_a_storage_without_our_tables_says_what_to_run(empty_database_url: str) -> None:
    done = await run("keys", "create", URL=empty_database_url)
    assert_one_sentence(done, code=2, saying="dataqueue migrate")


async def test_migrate_says_what_it_did_and_that_there_is_nothing_left(empty_database_url: str) -> None:
    first = await run("migrate", URL=empty_database_url)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("Upgrade ")
    assert "Done: " in first.out
    again = await run("migrate", URL=empty_database_url)
    assert again.code == 0
    assert again.out.startswith("Nothing to do: ")
    back = await run("migrate", "--revision", "base", URL=empty_database_url)
    assert back.out.startswith("Downgrade "), back


async def test_migrate_refuses_a_revision_that_is_not_there(postgres_url: str) -> None:
    done = await run("migrate", "--revision", "nowhere", URL=postgres_url)
    assert_one_sentence(done, code=2, saying="nowhere")


async def test_migrating_a_storage_that_is_away_is_said_without_its_password(nowhere: str) -> None:
    done = await run("migrate", URL=nowhere)
    assert_one_sentence(done, code=1, saying="")
    assert "hunter2" not in done.err
