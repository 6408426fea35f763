"""A service that the commands speak to: `dataqueue serve` and a worker, on a database of the module's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from dataqueue.storage.backend import Backend
from tests.acceptance.conftest import reachable_folder
from tests.acceptance.notes import Notes
from tests.acceptance.services import Api, Worker
from tests.client.commands.command import Command, end_all

_numbers = count()


@pytest.fixture(scope="module")
def place(backend: Backend) -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def notes(place: Path) -> Notes:
    return Notes(place / "notes")


@pytest.fixture(scope="module")
def database(another_storage: Callable[[], str]) -> str:
    return another_storage()


@pytest.fixture(scope="module")
def api(database: str, place: Path) -> Iterator[Api]:
    with Api(database, log=place / "api.log") as served:
        served.until_ready()
        yield served


@pytest.fixture(scope="module")
def worker(api: Api, database: str, notes: Notes) -> Iterator[Worker]:
    with Worker(database, notes, lease_seconds=30) as started:
        started.until_ready()
        yield started


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture
def dataqueue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: Api) -> Command:
    return Command(monkeypatch, capsys, api.url)


@pytest.fixture
def job_type() -> str:
    """A type that no other test uses and no worker serves."""
    return f"type-{next(_numbers)}"
