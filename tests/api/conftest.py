"""The API over a real storage, spoken to in the same process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio

from app.main import Api
from dataqueue.clock import ManualClock
from dataqueue.storage.backend import Backend
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.api.streams import Intercepted
from tests.api.support import client_of, started


@pytest.fixture
async def api(storage: Storage) -> AsyncIterator[Api]:
    """The application, running, open to callers of this machine."""
    async with started(storage) as app:
        yield app


@pytest.fixture
def nth(backend: Backend, clock: ManualClock) -> Callable[[int], str]:
    """The position of the n-th event of the default namespace, while `clock` stands still and there is no other; the
    0th: of a log without events."""
    first = 1 if backend is Backend.POSTGRES else int(clock.now().timestamp()) * 1_000_000
    return lambda n: str(first + n - 1) if n else "0"


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of this machine without a key."""
    async with client_of(api) as client:
        yield client


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch, storage: Storage) -> Intercepted:
    """The writes of new jobs into the default namespace."""
    return Intercepted(monkeypatch, storage.jobs("default"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bystander(another_storage: Callable[[], str]) -> AsyncIterator[httpx.AsyncClient]:
    """A caller whose requests store nothing, so that all tests of a module may share one service."""
    storage = open_storage(another_storage())
    async with started(storage) as app, client_of(app) as client:
        yield client
    await storage.close()
