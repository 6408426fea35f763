"""Hints are sent at once, and then not too often."""

from __future__ import annotations

import asyncio
from typing import cast

from dataqueue.announcing import Announcer
from dataqueue.storage.port import Hint, Notifier


class FakeNotifier:
    """Remembers what was published, and when."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.at: list[float] = []
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, hint: Hint) -> None:
        self.hints.append(hint)
        self.at.append(asyncio.get_running_loop().time())
        await self.open.wait()


def an_announcer(notifier: FakeNotifier) -> Announcer:
    return Announcer(cast(Notifier, notifier), kind="ready", namespace="shop")


async def test_the_first_hint_goes_out_at_once() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    announce({"mail"})
    await asyncio.sleep(0)
    assert notifier.hints == [Hint("ready", "shop", ("mail",))]
    await announce.settle()
    assert len(notifier.hints) == 1


async def test_what_is_said_in_one_breath_is_one_hint_with_its_names_in_order() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    for names in ({"c"}, {"a", "b"}, {"a"}):
        announce(names)
    await announce.settle()
    assert notifier.hints == [Hint("ready", "shop", ("a", "b", "c"))]


async def test_what_is_said_shortly_after_goes_out_together_and_later() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    announce({"first"})
    await asyncio.sleep(0)
    for number in range(100):
        announce({f"type {number % 10}"})
        await asyncio.sleep(0)
    await announce.settle()
    assert [hint.names for hint in notifier.hints] == [("first",), tuple(f"type {n}" for n in range(10))]
    assert notifier.at[1] - notifier.at[0] >= 0.045


async def test_after_a_quiet_time_the_next_hint_goes_out_at_once_again() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    for name in ("a", "b"):
        announce({name})
        await asyncio.sleep(0)
        assert notifier.hints[-1].names == (name,)
        await announce.settle()


async def test_what_is_said_while_a_hint_is_being_sent_is_not_lost() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    notifier.open.clear()
    announce({"a"})
    await asyncio.sleep(0)
    announce({"b"})
    notifier.open.set()
    await announce.settle()
    assert [hint.names for hint in notifier.hints] == [("a",), ("b",)]


async def test_nothing_to_say_is_not_sent() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    await announce.settle()
    announce(set())
    await announce.settle()
    assert notifier.hints == []


async def test_saying_does_not_keep_the_set_of_the_caller() -> None:
    notifier = FakeNotifier()
    announce = an_announcer(notifier)
    names = {"a"}
    announce(names)
    names.add("b")
    await announce.settle()
    assert notifier.hints == [Hint("ready", "shop", ("a",))]
