"""Whether a Redis can be trusted with jobs, and that it is told where it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import structlog.testing

from dataqueue.duties import RiskTeller
from dataqueue.errors import Invalid, StorageNotReady, StorageUnavailable
from dataqueue.storage.opening import migrate, open_storage
from dataqueue.storage.port import Storage
from dataqueue.storage.redis.durability import insist_on_serving, risks, told_by
from tests.redis_servers import RedisServer, redis_server

SOUND = {"redis_version": "6.2.0", "role": "master", "aof_enabled": "1", "maxmemory_policy": "noeviction"}


@pytest.fixture(scope="module")
def own() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
async def opened(own: RedisServer) -> AsyncIterator[Storage]:
    storage = open_storage(own.url)
    yield storage
    await storage.close()
    own.client.config_set("maxmemory-policy", "noeviction")


async def test_what_may_lose_jobs_is_told_until_it_is_mended(opened: Storage, own: RedisServer) -> None:
    own.client.config_set("maxmemory-policy", "allkeys-lru")
    own.client.config_set("appendonly", "no")
    assert ["appendonly" in risk or "allkeys-lru" in risk for risk in await opened.check()] == [True, True]
    own.client.config_set("maxmemory-policy", "noeviction")
    own.client.config_set("appendonly", "yes")
    assert await opened.check() == []
    own.client.config_set("appendonly", "no")
    assert len(await opened.check()) == 1


async def test_each_risk_is_warned_of_once(opened: Storage, own: RedisServer) -> None:
    own.client.config_set("appendonly", "no")
    teller = RiskTeller(opened)
    with structlog.testing.capture_logs() as logs:
        await teller.tick()
        await teller.tick()
    assert [line["event"] for line in logs] == ["storage.risk"]
    assert "appendonly yes" in logs[0]["risk"]


async def test_while_the_storage_is_away_nothing_is_said_of_its_risks_and_it_is_asked_again_soon() -> None:
    storage = open_storage("unix:///tmp/nowhere.sock")
    with structlog.testing.capture_logs() as logs:
        assert await RiskTeller(storage).tick() < 10
    assert logs == []
    await storage.close()


def test_a_replica_of_its_own_is_as_good_as_a_file() -> None:
    assert list(risks(SOUND)) == []
    assert list(risks(SOUND | {"aof_enabled": "0", "connected_slaves": "1"})) == []
    assert len(list(risks(SOUND | {"aof_enabled": "0", "connected_slaves": "0"}))) == 1


@pytest.mark.parametrize(
    ("info", "error"),
    [
        ({"redis_version": "6.0.16"}, StorageNotReady),
        ({"redis_version": "5.0.3"}, StorageNotReady),
        ({"role": "slave"}, StorageNotReady),
        ({"loading": "1"}, StorageUnavailable),
    ],
)
def test_one_that_cannot_serve_is_refused(info: dict[str, str], error: type[Exception]) -> None:
    insist_on_serving(SOUND)
    insist_on_serving(SOUND | {"redis_version": "10.0.1"})
    with pytest.raises(error):
        insist_on_serving(SOUND | info)


def test_what_it_says_of_itself_is_read_as_text_and_as_the_driver_reads_it() -> None:
    told = {"redis_version": "7.2.4", "aof_enabled": "1"}
    assert told_by("# Server\r\nredis_version:7.2.4\r\n\r\n# Persistence\r\naof_enabled:1\r\n") == told
    assert told_by({"redis_version": "7.2.4", "aof_enabled": 1}) == told


async def test_there_is_nothing_to_migrate(own: RedisServer) -> None:
    assert not await migrate(own.url)


@pytest.mark.parametrize(
    ("url", "listen_url"),
    [
        ("redis://host:port/0", None),
        ("redis://host/0", "postgresql://host/database"),
        ("redis://host/0", "http://host"),
        ("http://host", None),
        ("redis:host", None),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str, listen_url: str | None) -> None:
    with pytest.raises(Invalid):
        open_storage(url, listen_url=listen_url)
