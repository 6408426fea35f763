"""What the tests with real processes have in common: databases of a module's own, and an API on them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.opening import migrate
from tests.acceptance.notes import Notes
from tests.acceptance.processes import Process
from tests.acceptance.services import Api, look

_numbers = count()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the account of a server can reach, with a name that is short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="dq-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def notes(place: Path) -> Notes:
    return Notes(place / "notes")


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a migrated database of the module's own."""
    name = f"acceptance_{next(_numbers)}"
    look(postgres.url, f"create database {name}")
    asyncio.run(migrate(postgres.url_for(name)))
    yield postgres.url_for(name)
    look(postgres.url, f"drop database {name} with (force)")


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
