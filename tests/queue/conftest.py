"""A queue on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dataqueue.queue import Queue


@pytest.fixture
async def queue(storage_url: str) -> AsyncIterator[Queue]:
    async with Queue.open(storage_url) as opened:
        yield opened
