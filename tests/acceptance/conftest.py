"""What the tests with real processes have in common: databases of a module's own, and an API on them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataqueue.storage.backend import Backend
from tests.acceptance.databases import Mortal, MortalPostgres, MortalRedis
from tests.acceptance.notes import Notes
from tests.acceptance.processes import Process
from tests.acceptance.services import Api


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that the account of a server can reach, with a name that is short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="dq-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def place(backend: Backend) -> Iterator[Path]:
    """A folder of the module's own, on each backend another."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def notes(place: Path) -> Notes:
    return Notes(place / "notes")


@pytest.fixture(scope="session")
def mortal_postgres() -> Iterator[MortalPostgres]:
    with reachable_folder() as folder, MortalPostgres(folder / "home") as server:
        yield server


@pytest.fixture(scope="session")
def mortal_redis() -> Iterator[MortalRedis]:
    with reachable_folder() as folder, MortalRedis(folder / "home") as server:
        yield server


@pytest.fixture(scope="module")
def mortal(backend: Backend, request: pytest.FixtureRequest) -> Mortal:
    """A server that a test may kill, and that is up again when it has done so. It waits for the disk."""
    server: Mortal = request.getfixturevalue(f"mortal_{backend}")
    return server


@pytest.fixture(scope="module")
def database(another_storage: Callable[[], str]) -> str:
    """A storage of the module's own, empty, on a server that lives."""
    return another_storage()


@pytest.fixture(scope="module")
def mortal_database(mortal: Mortal) -> str:
    """A storage of the module's own, empty, on the server that may be killed."""
    return mortal.empty_storage()


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
