"""From names to addresses, off the loop and within limits."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dataqueue.egress import ConnectFailed, Policy, SystemResolver, TimedOut, UrlNotAllowed, check_url
from dataqueue.egress.resolving import allowed_addresses

POLICY = Policy()
TARGET = check_url("https://name.example/", POLICY)


class Lookups:
    """Stands for the system's resolver: it is silent until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.answer: list[str] | OSError = ["1.1.1.1"]

    def __call__(self, host: str, *_arguments: Any, **_options: Any) -> list[Any]:
        self.asked.append(host)
        self.threads.append(threading.current_thread())
        self.begun.release()
        assert self.go.wait(20)
        if isinstance(self.answer, OSError):
            raise self.answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 0)) for text in self.answer]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookups]:
    made = Lookups()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.go.set()
    for thread in made.threads:
        thread.join(20)


async def test_a_lookup_does_not_hold_the_loop_and_is_shared_by_who_asks_meanwhile(lookups: Lookups) -> None:
    resolve = SystemResolver()
    calls = [asyncio.create_task(resolve(name)) for name in ("a.example", "b.example", "a.example")]
    for _ in range(2):
        assert await asyncio.to_thread(lookups.begun.acquire, timeout=20)
    assert not any(task.done() for task in calls)
    lookups.go.set()
    assert await asyncio.gather(*calls) == [["1.1.1.1"]] * 3
    assert sorted(lookups.asked) == ["a.example", "b.example"]
    # The next one asks anew.
    await resolve("a.example")
    assert len(lookups.asked) == 3
    assert all(thread.daemon for thread in lookups.threads)


async def test_a_silent_resolver_is_given_up_and_those_who_share_it_are_not(lookups: Lookups) -> None:
    resolve = SystemResolver()
    patient = asyncio.create_task(resolve("name.example"))
    with pytest.raises(TimedOut, match="not resolved in time"):
        await allowed_addresses(TARGET, POLICY, resolve, within=0.05)
    lookups.go.set()
    assert await patient == ["1.1.1.1"]
    assert lookups.asked == ["name.example"]


async def test_a_name_that_does_not_exist_is_no_connection(lookups: Lookups) -> None:
    lookups.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known: internal detail")
    lookups.go.set()
    with pytest.raises(ConnectFailed, match="was not resolved") as raised:
        await allowed_addresses(TARGET, POLICY, SystemResolver())
    assert "detail" not in str(raised.value)


@pytest.mark.parametrize(
    "texts",
    [
        ["127.0.0.1"],
        ["1.1.1.1", "fe80::1%eth0"],
        ["1.1.1.1", "2606:4700::1%1"],
        ["1.1.1.1", "nonsense"],
        ["1.1.1.1", "127.1"],
        [f"1.1.{number}.1" for number in range(65)],
    ],
)
async def test_answers_that_are_not_all_good_addresses_are_refused(texts: Sequence[str]) -> None:
    async def resolve(host: str) -> Sequence[str]:
        return texts

    with pytest.raises(UrlNotAllowed):
        await allowed_addresses(TARGET, POLICY, resolve)


async def test_addresses_come_in_the_resolvers_order_and_once() -> None:
    async def resolve(host: str) -> Sequence[str]:
        return ["2606:4700::1111", "1.1.1.1", "::ffff:1.1.1.1", "2606:4700:0::1111"]

    found = await allowed_addresses(TARGET, POLICY, resolve)
    assert [str(address) for address in found] == ["2606:4700::1111", "1.1.1.1"]

    async def nothing(host: str) -> Sequence[str]:
        return []

    with pytest.raises(ConnectFailed):
        await allowed_addresses(TARGET, POLICY, nothing)


async def test_an_address_is_not_resolved_at_all() -> None:
    async def resolve(host: str) -> Sequence[str]:
        raise AssertionError(host)

    found = await allowed_addresses(check_url("https://1.1.1.1/", POLICY), POLICY, resolve)
    assert [str(address) for address in found] == ["1.1.1.1"]


async def test_the_systems_own_answer_for_localhost_is_refused() -> None:
    target = check_url("https://localhost/", POLICY)
    with pytest.raises(UrlNotAllowed):
        await allowed_addresses(target, POLICY, SystemResolver())
