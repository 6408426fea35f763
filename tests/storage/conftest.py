"""What the tests of the storage have in common."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.storage.severing import Severing, severable


@pytest.fixture
async def severed(postgres_url: str) -> AsyncIterator[tuple[Severing, Storage]]:
    """A storage behind a connection that can be cut."""
    folder = Path(tempfile.mkdtemp(prefix="dq-", dir="/tmp"))  # short: a socket's path has 107 bytes
    try:
        async with severable(postgres_url, folder) as (severing, url):
            storage = open_storage(url)
            yield severing, storage
            await storage.close()
    finally:
        shutil.rmtree(folder)
