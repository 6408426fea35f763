"""A Redis in trouble: what went wrong is said, nothing is sent twice, and all is well once the trouble is over."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from redis.crc import key_slot

from dataqueue.domain.events import EventName
from dataqueue.domain.job import Json, Reported
from dataqueue.errors import DataQueueError, StorageNotReady, StorageRefused, StorageUnavailable
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Hint, Storage
from dataqueue.storage.redis import connections, notifier
from dataqueue.storage.redis.keys import beginning_of
from tests.hearing import next_of
from tests.redis_servers import RedisServer, redis_server, until
from tests.storage.given import LEASE, NAMESPACE, claim_this, given_claimed_job, given_job, new_job, told
from tests.storage.redis_stand_ins import refusing
from tests.storage.severing import Severing, severable
from tests.storage.test_hints import heard


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="dq-", dir="/tmp"))  # short: a socket's path has 107 bytes
    yield made
    shutil.rmtree(made)


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that nobody else uses."""
    with redis_server() as server:
        yield server


@pytest.fixture
async def live(own: RedisServer) -> AsyncIterator[Storage]:
    opened = open_storage(own.url)
    yield opened
    await opened.close()


@pytest.fixture
async def severed(redis_url: str, folder: Path) -> AsyncIterator[tuple[Severing, Storage]]:
    """A storage behind a connection that can be cut."""
    async with severable(redis_url, folder) as (severing, url):
        opened = open_storage(url)
        yield severing, opened
        await opened.close()


REFUSALS: Final[list[tuple[str, type[DataQueueError]]]] = [
    ("LOADING Redis is loading the dataset in memory", StorageUnavailable),
    (
        "MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.",
        StorageUnavailable,
    ),
    ("NOREPLICAS Not enough good replicas to write.", StorageUnavailable),
    ("OOM command not allowed when used memory > 'maxmemory'. script: f0, on @user_script:1.", StorageUnavailable),
    ("READONLY You can't write against a read only replica. script: f0, on @user_script:1.", StorageUnavailable),
    ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", StorageUnavailable),
    ("CLUSTERDOWN The cluster is down", StorageUnavailable),
    ("TRYAGAIN Multiple keys request during rehashing of slot", StorageUnavailable),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", StorageUnavailable),
    # As 6.2 says it.
    (
        "ERR Error running script (call to f_0): @user_script:9: @user_script: 9: -READONLY You can't write.",
        StorageUnavailable,
    ),
    (
        "ERR Error running script (call to f_0): @user_script:9: @user_script: 9: -OOM command not allowed.",
        StorageUnavailable,
    ),
    ("MOVED 3999 127.0.0.1:6381", StorageNotReady),
    ("NOAUTH Authentication required.", StorageNotReady),
    ("NOPERM this user has no permissions to run the 'evalsha' command", StorageNotReady),
    ("ERR Error running script (call to f_0): @user_script:9: user_script:9: attempt to index nil", StorageRefused),
]


@pytest.mark.parametrize(
    ("error", "meaning"), REFUSALS, ids=lambda value: value[:12] if isinstance(value, str) else None
)
async def test_what_is_refused_was_not_done_and_is_not_sent_again(
    redis_url: str, folder: Path, error: str, meaning: type[DataQueueError]
) -> None:
    async with refusing(error, folder) as (server, url):
        storage = open_storage(url)
        with pytest.raises(meaning) as refused:
            await storage.jobs(NAMESPACE).enqueue([[new_job()]])
        assert not getattr(refused.value, "outcome_unknown", False)
        await storage.close()
    assert server.scripts == 1


@pytest.mark.parametrize("error", [error for error, _ in REFUSALS if "READONLY" in error])
async def test_a_former_primary_is_left_for_a_new_connection(redis_url: str, folder: Path, error: str) -> None:
    """However it says so: the name in the URL may mean another server by now."""
    async with refusing(error, folder) as (_, url):
        storage = open_storage(url)
        with pytest.raises(StorageUnavailable):
            await storage.jobs(NAMESPACE).enqueue([[new_job()]])
        assert storage.pool.idle == 0
        await storage.close()


async def test_a_slot_that_moves_to_a_node_which_has_none_yet_is_waited_for() -> None:
    """Of such a node a client that asks who has which slots is not told, only where it is sent to it."""
    with redis_server(cluster=True) as leaving, redis_server(cluster=True) as coming:
        coming.client.execute_command("CLUSTER FLUSHSLOTS")
        nodes = leaving.client, coming.client
        first, second = (node.execute_command("CLUSTER MYID") for node in nodes)
        port = leaving.client.config_get("port")["port"]
        coming.client.execute_command("CLUSTER MEET", "127.0.0.1", port)
        until(lambda: all(node.execute_command("CLUSTER INFO")["cluster_known_nodes"] == "2" for node in nodes))
        until(lambda: leaving.serves_all_slots() and coming.serves_all_slots())
        storage = open_storage(f"redis+cluster://127.0.0.1:{port}")
        job = await given_job(storage)
        slot = key_slot(beginning_of(NAMESPACE).encode())
        coming.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", first)
        leaving.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", second)
        with pytest.raises(StorageUnavailable, match="moving") as moving:
            await storage.jobs(NAMESPACE).enqueue([[new_job()]])
        assert not moving.value.outcome_unknown
        leaving.client.execute_command("CLUSTER SETSLOT", slot, "STABLE")
        assert (await claim_this(storage.jobs(NAMESPACE), job)).id == job.id
        await storage.close()


async def test_a_script_that_the_server_has_forgotten_is_sent_in_full(live: Storage, own: RedisServer) -> None:
    jobs, held = live.jobs(NAMESPACE), await given_claimed_job(live)
    own.client.script_flush()
    assert await jobs.complete([held.lease], outputs=[Json("1")]) == [Reported.OK]
    assert await told(live, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_a_write_whose_answer_was_lost_is_of_unknown_outcome_and_is_not_sent_again(
    severed: tuple[Severing, Storage], live_storage: Storage
) -> None:
    severing, storage = severed
    job = await given_job(storage)
    severing.cut_when("jobs/claim")
    with pytest.raises(StorageUnavailable) as broken:
        await storage.jobs(NAMESPACE).claim([job.job_type], limit=1, worker_id="ann", lease=LEASE)
    assert broken.value.outcome_unknown
    assert severing.cuts == 1
    assert await told(live_storage, job.id) == [EventName.ADDED, EventName.PROCESSING]
    assert await storage.jobs(NAMESPACE).recall("ann", known=[]) == 1
    assert (await claim_this(storage.jobs(NAMESPACE), job)).attempts == 1


async def test_an_enqueue_whose_answer_was_lost_can_be_repeated(
    severed: tuple[Severing, Storage], live_storage: Storage
) -> None:
    severing, storage = severed
    job = new_job(id_is_callers=True)
    await storage.check()
    severing.cut_when("jobs/enqueue")
    with pytest.raises(StorageUnavailable) as broken:
        await storage.jobs(NAMESPACE).enqueue([[job]])
    assert broken.value.outcome_unknown
    [[answer]] = await storage.jobs(NAMESPACE).enqueue([[job]], again=True)
    assert (answer.id, answer.created) == (job.id, True)
    assert await told(live_storage, job.id) == [EventName.ADDED]


async def test_connections_that_were_closed_while_idle_are_replaced_unnoticed(live: Storage, own: RedisServer) -> None:
    job = await given_job(live)
    await asyncio.gather(*(live.jobs(NAMESPACE).get(job.id) for _ in range(5)))
    own.client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.05)  # until the loop has seen it
    assert (await live.jobs(NAMESPACE).get(job.id)).id == job.id


async def test_a_replica_takes_no_writes_and_says_so(live: Storage, own: RedisServer) -> None:
    job = await given_job(live)
    own.client.replicaof("127.0.0.1", "1")
    with pytest.raises(StorageUnavailable) as away:
        await live.jobs(NAMESPACE).enqueue([[new_job()]])
    assert not away.value.outcome_unknown
    with pytest.raises(StorageNotReady, match="replica"):
        await live.check()
    own.client.replicaof("NO", "ONE")
    assert (await claim_this(live.jobs(NAMESPACE), job)).id == job.id
    await live.check()


async def test_memory_that_is_full_stops_a_write_before_it_began(live: Storage, own: RedisServer) -> None:
    job = await given_job(live)
    own.client.config_set("maxmemory", "1")
    with pytest.raises(StorageUnavailable, match="memory") as full:
        await live.jobs(NAMESPACE).enqueue([[new_job()]])
    assert not full.value.outcome_unknown
    own.client.config_set("maxmemory", "0")
    assert (await claim_this(live.jobs(NAMESPACE), job)).id == job.id


async def test_who_has_not_the_password_is_not_let_in(live: Storage, own: RedisServer) -> None:
    await live.close()
    path = urlsplit(own.url).path
    own.client.config_set("requirepass", "secret")
    for url in (own.url, f"unix://{path}?password=wrong"):
        storage = open_storage(url)
        for act in (storage.check, partial(storage.jobs(NAMESPACE).enqueue, [[new_job()]])):
            with pytest.raises(StorageNotReady) as refused:
                await act()
            assert "wrong" not in str(refused.value)
        await storage.close()
    storage = open_storage(f"unix://{path}?password=secret")
    await storage.check()
    await storage.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://nowhere.invalid:6379/0",
        "redis://127.0.0.1:1/0",
        "unix:///tmp/nowhere.sock",
        "redis+cluster://127.0.0.1:1",
    ],
)
async def test_where_there_is_no_server_nothing_was_done(redis_url: str, url: str) -> None:
    storage = open_storage(url)
    for act in (storage.check, partial(storage.jobs(NAMESPACE).enqueue, [[new_job()]])):
        with pytest.raises(StorageUnavailable) as away:
            await act()
        assert not away.value.outcome_unknown
    await storage.notifier.publish(Hint("ready", NAMESPACE))
    await storage.close()


async def test_who_gets_no_connection_has_done_nothing_and_who_gets_no_answer_may_have(
    own: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT", 0.1)
    storage = open_storage(own.url, pool_size=1, patience=0.5)
    await storage.check()
    jobs = storage.jobs(NAMESPACE)
    own.client.client_pause(3_600_000, all=False)
    waiting = asyncio.create_task(jobs.enqueue([[new_job()]]))
    await asyncio.sleep(0)
    assert (storage.pool.used, storage.pool.most) == (1, 1)
    with pytest.raises(StorageUnavailable) as refused:
        await jobs.enqueue([[new_job()]])
    assert not refused.value.outcome_unknown
    with pytest.raises(StorageUnavailable) as unanswered:
        await waiting
    assert unanswered.value.outcome_unknown
    own.client.client_unpause()
    await storage.check()
    assert storage.pool.used == 0
    await storage.close()


async def test_an_answer_that_nobody_waits_for_any_more_is_given_to_nobody_else(own: RedisServer) -> None:
    storage = open_storage(own.url, pool_size=1)
    job = await given_job(storage)
    for _ in range(20):
        abandoned = asyncio.create_task(storage.tally(NAMESPACE).stats())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        abandoned.cancel()
        assert (await storage.jobs(NAMESPACE).get(job.id)).id == job.id
    await storage.close()


@pytest.mark.parametrize("said", ["no JSON", "7", "{}", '["ready", "default"]', '["ready", "default", 7]'])
async def test_somebody_elses_words_are_passed_over(live: Storage, own: RedisServer, said: str) -> None:
    before, after = Hint("ready", NAMESPACE, ("before",)), Hint("ready", NAMESPACE, ("after",))
    async with live.notifier.listen() as hints:
        assert await heard(live, hints, before) == before
        own.client.publish("dataqueue:0", said)
        await live.notifier.publish(after)
        assert await next_of(hints) == after


async def test_listening_goes_on_after_what_is_no_text(live: Storage, own: RedisServer) -> None:
    hint = Hint("ready", NAMESPACE)
    async with live.notifier.listen() as hints:
        assert await heard(live, hints, hint) == hint
        own.client.publish("dataqueue:0", b"\xff")
        assert await heard(live, hints, hint) == hint


async def test_listening_goes_on_after_its_connection_was_closed(live: Storage, own: RedisServer) -> None:
    before, after = Hint("ready", NAMESPACE, ("before",)), Hint("ready", NAMESPACE, ("after",))
    async with live.notifier.listen() as hints:
        assert await heard(live, hints, before) == before
        own.client.client_kill_filter(_type="pubsub")
        assert await heard(live, hints, after) == after


async def test_listening_goes_on_after_its_connection_fell_silent(
    severed: tuple[Severing, Storage], live_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a balancer forgets it: no end of the connection is told."""
    monkeypatch.setattr(notifier, "SILENCE", 0.1)
    monkeypatch.setattr(notifier, "_ANSWER_TIMEOUT", 0.5)
    severing, storage = severed
    before, after = Hint("ready", NAMESPACE, ("before",)), Hint("ready", NAMESPACE, ("after",))
    async with storage.notifier.listen() as hints:
        assert await heard(live_storage, hints, before) == before
        assert severing.fall_silent() == 1
        assert await heard(live_storage, hints, after) == after
