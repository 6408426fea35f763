"""One embedded server a run, a fresh database a test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from dataqueue.clock import ManualClock
from dataqueue.storage.embedded import EmbeddedPostgres, open_embedded
from dataqueue.storage.opening import migrate, open_storage
from dataqueue.storage.port import Storage

_names = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server. Its data is worth nothing, so it does not wait for the disk."""
    home = Path(tempfile.mkdtemp(prefix="dqtest-"))
    home.chmod(0o755)
    try:
        with open_embedded(home, fsync=False) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database to copy."""
    asyncio.run(_execute(postgres, 'create database "template_dataqueue"'))
    asyncio.run(migrate(postgres.url_for("template_dataqueue")))
    return "template_dataqueue"


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{next(_names)}"
    await _execute(postgres, f'create database "{name}" template "{template}"')
    # Settings of a role in a database do not travel with a template.
    await _execute(postgres, f'alter role queue in database "{name}" set plan_cache_mode = force_custom_plan')
    await _execute(postgres, f'alter role queue in database "{name}" set jit = off')
    yield postgres.url_for(name)
    await _execute(postgres, f'drop database "{name}" with (force)')


@pytest.fixture
def clock() -> ManualClock:
    """The clock by which `storage` decides."""
    return ManualClock()


@pytest.fixture
async def storage(database_url: str, clock: ManualClock) -> AsyncIterator[Storage]:
    """A storage that goes by `clock`."""
    opened = open_storage(database_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def live_storage(database_url: str) -> AsyncIterator[Storage]:
    """A storage that goes by its own clock, as in production."""
    opened = open_storage(database_url)
    yield opened
    await opened.close()


async def _execute(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(host=str(server.socket_folder), user="queue", database="postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
