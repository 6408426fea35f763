"""Hints between processes: they may be lost, and mostly are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dataqueue.storage.port import Hint, Storage
from tests.hearing import listening, next_of


async def heard(storage: Storage, hints: AsyncIterator[Hint], hint: Hint) -> Hint:
    """What one who begins to listen hears when `hint` is said."""
    await listening(hints)
    await storage.notifier.publish(hint)
    return await next_of(hints)


@pytest.mark.parametrize(
    "hint",
    [
        Hint("ready", "default", ("mail", "a/b:c")),
        Hint("ready", "default"),
        Hint("cancel", "other", ("01990000-0000-7000-8000-000000000000",)),
        Hint("ended", 'żółć "\\', ("漢字", "'", "")),
    ],
    ids=str,
)
async def test_a_hint_is_heard_as_it_was_said(storage: Storage, hint: Hint) -> None:
    async with storage.notifier.listen() as hints:
        assert await heard(storage, hints, hint) == hint


async def test_everyone_who_listens_hears(storage: Storage) -> None:
    hint = Hint("ready", "default", ("mail",))
    async with storage.notifier.listen() as first, storage.notifier.listen() as second:
        await listening(second)
        assert await heard(storage, first, hint) == hint
        assert await next_of(second) == hint


async def test_hints_are_heard_in_the_order_they_were_said(storage: Storage) -> None:
    async with storage.notifier.listen() as hints:
        await heard(storage, hints, Hint("ready", "default", ("first",)))
        for number in range(20):
            await storage.notifier.publish(Hint("ended", "default", (str(number),)))
        said = [await next_of(hints) for _ in range(20)]
    assert said == [Hint("ended", "default", (str(number),)) for number in range(20)]


@pytest.mark.parametrize("count", [30, 1000])
async def test_a_hint_of_many_names_says_them_all_or_that_there_are_some(storage: Storage, count: int) -> None:
    names = tuple(f"type {number} €" * 10 for number in range(count))
    async with storage.notifier.listen() as hints:
        hint = await heard(storage, hints, Hint("ready", "default", names))
    assert hint in (Hint("ready", "default", names), Hint("ready", "default"))


async def test_nothing_is_left_behind_by_one_who_stops_listening(storage: Storage) -> None:
    before = asyncio.all_tasks()
    async with storage.notifier.listen() as hints:
        await heard(storage, hints, Hint("ready", "default"))
    assert asyncio.all_tasks() == before


async def test_a_hint_that_nobody_hears_is_no_error(storage: Storage) -> None:
    await storage.notifier.publish(Hint("ready", "a namespace that nobody made"))
