"""Hearing hints, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from dataqueue.storage.port import LISTENING, Hint


async def next_of(hints: AsyncIterator[Hint]) -> Hint:
    """The next hint, which must come within ten seconds."""
    async with asyncio.timeout(10):
        return await anext(hints)


async def listening(hints: AsyncIterator[Hint]) -> None:
    """Be sure to hear what is said from now on, having heard nothing yet."""
    assert await next_of(hints) == LISTENING
