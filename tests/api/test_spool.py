"""Answers that wait for their reader."""

from __future__ import annotations

import asyncio
import random
import resource
from itertools import count

import pytest

from app.spool import Spool
from tests.api.support import eventually


@pytest.mark.parametrize("in_memory", [1, 1000, 1 << 20])
async def test_what_was_added_first_is_read_first_whoever_is_faster(in_memory: int) -> None:
    dice, added, read = random.Random(7), bytearray(), bytearray()
    with Spool(in_memory=in_memory) as spool:
        pieces = spool.pieces()
        for _ in range(300):
            piece = dice.randbytes(dice.choice([0, 1, 100, 100_000]))
            spool.add(piece)
            added += piece
            while len(read) < len(added) and dice.random() < 0.7:
                read += await anext(pieces)
        spool.end()
        async for piece in pieces:
            read += piece
    assert read == added
    assert spool.taken == len(added)


async def test_a_reader_waits_for_what_is_added_and_ends_with_it() -> None:
    with Spool() as spool:
        read: list[bytes] = []

        async def reading() -> None:
            async for piece in spool.pieces():
                read.append(piece)  # noqa: PERF401 - the test looks while it waits

        task = asyncio.create_task(reading())
        for number in count(1):
            spool.add(b"x")
            await eventually("it is read", lambda: len(read) == number)  # noqa: B023 - asked in this round
            if number == 3:
                break
        assert not task.done()
        spool.end()
        await task


async def test_nothing_is_kept_of_what_was_read() -> None:
    """A file may not grow beyond so much: it would raise."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with Spool(in_memory=10) as spool:
            pieces = spool.pieces()
            for _ in range(50):
                spool.add(b"x" * 50_000)
                assert len(await anext(pieces)) == 50_000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_what_is_added_when_nobody_reads_any_more_goes_nowhere() -> None:
    with Spool() as spool:
        spool.add(b"x")
    spool.add(b"y")
    assert spool.taken == 0
