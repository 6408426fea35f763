"""Batches in Redis whose caller dies in the midst of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from dataqueue.domain.job import NewJob
from dataqueue.storage.redis.enqueue import values_of
from dataqueue.storage.redis.storage import RedisStorage
from tests.storage.given import NAMESPACE


async def given_left_batch(storage: RedisStorage, jobs: Sequence[NewJob], *, taken_up: int = 0) -> None:
    """Its jobs were kept, and so many of them taken up when the caller died."""
    values = chain.from_iterable(map(values_of, jobs))
    await storage.server.run("jobs/lay_down", NAMESPACE, str(jobs[0].id), *values)
    if taken_up:
        await storage.server.run("jobs/take_up", NAMESPACE, str(jobs[0].id), taken_up, 0)
