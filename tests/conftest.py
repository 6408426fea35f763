"""Every test that asks for a storage runs on each backend: one server of each a run, a fresh storage a test.

A test that asks for PostgreSQL itself (`postgres`, `postgres_url`), or lives in a file with its name, runs there alone;
the same for Redis.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dataqueue.clock import ManualClock
from dataqueue.storage.backend import Backend
from dataqueue.storage.embedded import EmbeddedPostgres, open_embedded
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.postgres_databases import Databases, folder_in_memory
from tests.redis_servers import RedisServer, redis_server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        chosen = [one for one in Backend if _is_of(metafunc, one)] or list(Backend)
        assert len(chosen) != 2 or chosen == list(Backend), f"{metafunc.definition.nodeid}: of which backend?"
        metafunc.parametrize("backend", chosen, ids=str, indirect=True)


def _is_of(metafunc: pytest.Metafunc, backend: Backend) -> bool:
    asked = {backend.value, f"{backend}_url"} & set(metafunc.fixturenames)
    return bool(asked) or metafunc.definition.path.name.startswith(f"test_{backend}_")


@pytest.fixture(scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    """What the test's storage is kept in."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL server. Its data is worth nothing, so it does not wait for the disk, nor use one."""
    home = Path(tempfile.mkdtemp(prefix="dqtest-", dir=folder_in_memory()))
    home.chmod(0o755)
    try:
        with open_embedded(home, fsync=False) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """The migrated databases of the server."""
    # Not by an argument: who asks for a database has not asked for PostgreSQL.
    with Databases(request.getfixturevalue("postgres")) as made:
        yield made


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """The Redis server, a cluster of one node: it refuses what a larger cluster could not do."""
    with redis_server(cluster=True) as server:
        yield server


@pytest.fixture
def storage_url(backend: Backend, request: pytest.FixtureRequest) -> Iterator[str]:
    """A storage of the test's own, ready and empty."""
    if backend is Backend.REDIS:
        server: RedisServer = request.getfixturevalue("redis")
        server.empty()
        yield server.url
    else:
        databases: Databases = request.getfixturevalue("databases")
        with databases.one() as url:
            yield url


@pytest.fixture
def postgres_url(storage_url: str) -> str:
    """The migrated database of a test of PostgreSQL."""
    return storage_url


@pytest.fixture
def redis_url(storage_url: str) -> str:
    """The empty server of a test of Redis."""
    return storage_url


@pytest.fixture(scope="module")
def another_storage(backend: Backend, request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes storages that are the module's own, ready and empty: for services that several tests share."""
    if backend is Backend.REDIS:
        with ExitStack() as servers:
            yield lambda: servers.enter_context(redis_server()).url
    else:
        databases: Databases = request.getfixturevalue("databases")
        yield databases.take


@pytest.fixture
def clock() -> ManualClock:
    """The clock by which `storage` decides."""
    return ManualClock()


@pytest.fixture
async def storage(storage_url: str, clock: ManualClock) -> AsyncIterator[Storage]:
    """A storage that goes by `clock`."""
    opened = open_storage(storage_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def live_storage(storage_url: str) -> AsyncIterator[Storage]:
    """A storage that goes by its own clock, as in production."""
    opened = open_storage(storage_url)
    yield opened
    await opened.close()


@pytest.fixture
def nowhere(backend: Backend) -> str:
    """The URL of a storage that nobody reaches, with a secret in it."""
    scheme = {Backend.POSTGRES: "postgresql", Backend.REDIS: "redis"}[backend]
    return f"{scheme}://queue:hunter2@127.0.0.1:1/0"
