"""What a deployment does on a cluster that it does on one server: wake-ups, events, the API and its workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from dataqueue.domain.events import EventName
from dataqueue.queue import Queue
from dataqueue.storage.port import Storage
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until as until_so
from tests.acceptance.services import Api, Worker
from tests.cluster.crew import make_namespaces, until
from tests.cluster.redis_clusters import Cluster

_POLL: Final = 60.0
_SOON: Final = 5.0


async def test_a_worker_on_any_master_hears_of_a_job_at_once(cluster: Cluster, cluster_storage: Storage) -> None:
    for [name] in cluster.namespaces(1).values():
        await make_namespaces(cluster_storage, [name])
        done = asyncio.Event()

        async with Queue.open(cluster.url, namespace=name) as queue:
            queue.create_processor({"noted": _noting(done)}, poll_interval=_POLL).start_in_background()
            await queue.add_job("noted")
            await done.wait()
            done.clear()
            # Until somebody sleeps, nobody can be woken.
            await asyncio.sleep(_SOON / 10)
            await queue.add_job("noted")
            async with asyncio.timeout(_SOON):
                await done.wait()


def _noting(done: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def note() -> None:
        done.set()

    return note


async def test_events_go_on_where_a_replica_has_taken_over(cluster: Cluster, cluster_storage: Storage) -> None:
    [name] = cluster.namespaces(1)[cluster.masters()[0].port]
    await make_namespaces(cluster_storage, [name])
    heard: list[tuple[str, EventName]] = []
    async with Queue.open(cluster.url, namespace=name) as queue:

        async def follow() -> None:
            async for event in queue.events():
                heard.append((str(event.job_id), event.event))  # noqa: PERF401 - it goes on for ever

        following = asyncio.create_task(follow())
        queue.create_processor({"noted": _noting(asyncio.Event())}, poll_interval=1).start_in_background()
        await until(lambda: _is_followed(queue, heard), "the first events")
        victim = cluster.master_of(name)
        await asyncio.to_thread(victim.kill)
        await until(lambda: cluster.has_taken_over(victim), "its replica is master")
        job = str((await queue.add_job("noted")).id)
        wanted = [(job, name) for name in (EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED)]
        await until(lambda: [one for one in heard if one[0] == job] == wanted, "the events of a job added afterwards")
        assert len(heard) == len(set(heard))
        following.cancel()


async def _is_followed(queue: Queue, heard: list[tuple[str, EventName]]) -> bool:
    await queue.add_job("noted")
    return bool(heard)


def test_a_deployment_outlives_a_master(cluster: Cluster, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    with Api(cluster.url, log=tmp_path / "api.log") as api, Worker(cluster.url, notes) as worker:
        api.until_ready()
        worker.until_ready()
        before = api.enqueue_all([{"job_type": "fine", "payload": number} for number in range(100)])
        for job in before:
            assert api.ended(job)["output"] is not None
        victim = cluster.master_of("default")
        victim.kill()
        until_so(lambda: cluster.has_taken_over(victim), "its replica is master")
        until_so(lambda: api.http.post("/v1/jobs", json={"job_type": "fine"}).status_code == 201, "jobs are taken")
        started = time.monotonic()
        after = api.enqueue_all([{"job_type": "fine", "payload": number} for number in range(100)])
        for job in after:
            api.ended(job)
            assert api.events(job) == ["added", "processing", "completed"]
        assert time.monotonic() - started < _POLL
