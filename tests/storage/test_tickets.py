"""Tickets to the event stream serve once, and not for long."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from dataqueue.clock import ManualClock
from dataqueue.storage.port import Storage
from tests.storage.given import MINUTE, NAMESPACE
from tests.storage.test_namespaces import OTHER, given_namespace


async def test_a_ticket_serves_once_and_for_its_namespace(storage: Storage, clock: ManualClock) -> None:
    await given_namespace(storage)
    expires_at = await storage.tickets.issue(b"one", namespace=NAMESPACE, lifetime=MINUTE)
    assert expires_at == clock.now() + MINUTE
    await storage.tickets.issue(b"two", namespace=OTHER, lifetime=MINUTE)
    assert await storage.tickets.redeem(b"two") == OTHER
    assert await storage.tickets.redeem(b"one") == NAMESPACE
    assert await storage.tickets.redeem(b"one") is None
    assert await storage.tickets.redeem(b"three") is None


async def test_of_many_who_come_with_the_same_ticket_one_gets_in(storage: Storage) -> None:
    await storage.tickets.issue(b"one", namespace=NAMESPACE, lifetime=MINUTE)
    answers = await asyncio.gather(*(storage.tickets.redeem(b"one") for _ in range(20)))
    assert sorted(answers, key=str) == [None] * 19 + [NAMESPACE]


async def test_a_ticket_that_has_expired_admits_nobody_and_is_cleared(storage: Storage, clock: ManualClock) -> None:
    await storage.tickets.issue(b"never used", namespace=NAMESPACE, lifetime=MINUTE)
    await storage.tickets.issue(b"late", namespace=NAMESPACE, lifetime=MINUTE)
    clock.advance(MINUTE)
    assert await storage.tickets.redeem(b"late") is None
    clock.advance(timedelta(microseconds=1))
    await storage.tickets.issue(b"another", namespace=NAMESPACE, lifetime=MINUTE)
    # It has been cleared away, or its place would be taken.
    await storage.tickets.issue(b"never used", namespace=NAMESPACE, lifetime=MINUTE)
    assert await storage.tickets.redeem(b"never used") == NAMESPACE
