"""What the tests with real processes have in common: databases of a module's own, and an API on them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.opening import migrate
from tests.acceptance.databases import Mortal
from tests.acceptance.notes import Notes
from tests.acceptance.processes import Process
from tests.acceptance.services import Api, look

_numbers = count()


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that the account of a server can reach, with a name that is short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="dq-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def migrated_database(server: EmbeddedPostgres | Mortal) -> str:
    """The URL of a database of one's own, which ends with the server."""
    name = f"acceptance_{next(_numbers)}"
    look(server.url_for("postgres"), f"create database {name}")
    asyncio.run(migrate(server.url_for(name)))
    return server.url_for(name)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder of the module's own."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def notes(place: Path) -> Notes:
    return Notes(place / "notes")


@pytest.fixture(scope="session")
def mortal() -> Iterator[Mortal]:
    """A server that a test may kill, and that is up again when it has done so. It waits for the disk."""
    with reachable_folder() as folder, Mortal(folder / "home") as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> str:
    """A database of the module's own, on the server of all tests."""
    return migrated_database(postgres)


@pytest.fixture(scope="module")
def mortal_database(mortal: Mortal) -> str:
    """A database of the module's own, on the server that may be killed."""
    return migrated_database(mortal)


@pytest.fixture(scope="module")
def api(database: str, place: Path) -> Iterator[Api]:
    with Api(database, log=place / "api.log") as served:
        served.until_ready()
        yield served


@pytest.fixture(autouse=True)
def told_when_it_fails() -> Iterator[None]:
    """pytest shows what was written meanwhile with a test that fails."""
    before = {process: len(process.said) for process in Process.running}
    yield
    for process in list(Process.running):
        process.tell(since=before.get(process, 0))
