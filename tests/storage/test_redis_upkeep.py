"""Upkeep of many namespaces, each in a hash slot of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.job import Json
from dataqueue.domain.retention import Retention
from dataqueue.storage.answers import Staged
from dataqueue.storage.port import Storage
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.storage import RedisStorage
from tests.redis_servers import RedisServer
from tests.storage.given import HOUR, LEASE, MAX_CRASHES, NAMESPACE, SECOND, claim, new_job

NAMES: Final = tuple(f"n{number}" for number in range(5))


async def given_namespaces(storage: Storage) -> None:
    for name in NAMES:
        await storage.keys.create(name="k", namespace=name, scopes=frozenset(), digest=name.encode(), prefix="dq_")


async def test_whoever_has_been_due_longest_is_staged_first_in_whatever_namespace(
    storage: Storage, clock: ManualClock
) -> None:
    await given_namespaces(storage)
    for ahead, name in ((30, "n2"), (20, "n4"), (10, "n0"), (7200, "n3")):
        new = [new_job(job_type="a", delay=ahead * SECOND) for _ in range(3)]
        await storage.jobs(name).enqueue([new])
    assert await storage.upkeep.stage(limit=100) == Staged(0, 10)
    clock.advance(60 * SECOND)
    assert (await storage.upkeep.stage(limit=4)).count == 4
    assert [len(await claim(storage.jobs(name), "a")) for name in NAMES] == [3, 0, 0, 0, 1]
    assert await storage.upkeep.stage(limit=100, namespace="n2") == Staged(3, None)
    assert await storage.upkeep.stage(limit=100) == Staged(2, 7140)


async def test_leases_expire_in_every_namespace_and_no_more_are_taken_back_than_asked_for(
    storage: Storage, clock: ManualClock
) -> None:
    await given_namespaces(storage)
    for name in NAMES:
        await storage.jobs(name).enqueue([[new_job(job_type="a") for _ in range(130)]])
        assert len(await claim(storage.jobs(name), "a", limit=130)) == 130
    clock.advance(LEASE + SECOND)
    rounds = [await storage.upkeep.reclaim(limit=250, max_crashes=MAX_CRASHES) for _ in range(4)]
    assert rounds == [250, 250, 150, 0]


async def test_idle_namespaces_are_looked_at_together(
    storage: RedisStorage, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.client.sadd("{dq}:namespaces", *(f"idle-{number}" for number in range(1200)))
    await storage.jobs(NAMESPACE).enqueue([[new_job(payload=Json("1"), delay=HOUR)]])
    sent: list[int] = []
    send = storage.server.connections.send

    async def counted(commands: Any) -> list[Any]:
        sent.append(len(commands))
        return await send(commands)

    monkeypatch.setattr(storage.server.connections, "send", counted)
    duties = (
        lambda: storage.upkeep.stage(limit=1000),
        lambda: storage.upkeep.expire_tokens(limit=1000),
        lambda: storage.upkeep.prune_tokens(keep=HOUR, limit=1000),
        lambda: storage.upkeep.reclaim(limit=1000, max_crashes=MAX_CRASHES),
        lambda: storage.upkeep.prune(Retention(), limit=1000),
        lambda: storage.upkeep.fold_counts(limit=1000),
        lambda: storage.upkeep.forget_workers(silent_for=HOUR),
    )
    await storage.upkeep.stage(limit=1000)
    for duty in duties:
        sent.clear()
        await duty()
        # 1,201 namespaces, 500 at a time.
        assert sent == [500, 500, 201]


async def test_namespaces_are_listed_anew_every_ten_seconds_and_those_met_at_once(
    storage: RedisStorage, redis: RedisServer
) -> None:
    seconds = [0.0]
    namespaces = Namespaces(storage.server, monotonic=lambda: seconds[0])
    assert await namespaces.all() == ["default"]
    redis.client.sadd("{dq}:namespaces", "met", "unmet")
    assert await namespaces.exists("met")
    assert await namespaces.all() == ["default", "met"]
    seconds[0] = 10.0
    assert await namespaces.all() == ["default", "met", "unmet"]


async def test_minutes_are_forgotten_when_no_statistics_look_at_them(
    storage: Storage, clock: ManualClock, redis: RedisServer
) -> None:
    jobs = storage.jobs(NAMESPACE)
    for _ in range(5):
        await jobs.enqueue([[new_job()]])
        clock.advance(timedelta(minutes=1))
    clock.advance(timedelta(minutes=115))

    def minutes() -> int:
        kept: int = redis.client.zcard(f"{{dq:{NAMESPACE}}}:minutes")
        assert len(list(redis.client.scan_iter(f"{{dq:{NAMESPACE}}}:minute:*"))) == kept
        return kept

    assert await storage.upkeep.fold_counts(limit=100) == 0
    assert minutes() == 5
    clock.advance(timedelta(minutes=4))
    for most, left in ((2, 3), (100, 1)):
        assert await storage.upkeep.fold_counts(limit=most) == 0
        assert minutes() == left
    clock.advance(timedelta(minutes=1))
    await storage.upkeep.fold_counts(limit=100)
    assert minutes() == 0
