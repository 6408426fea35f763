"""Namespaces over the masters of a cluster, each whole on one of them."""

from __future__ import annotations

import asyncio

from dataqueue.domain.job import NewJob
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from dataqueue.storage.redis.keys import SHARED, beginning_of
from tests.cluster.crew import crew, make_namespaces, until
from tests.cluster.redis_clusters import MASTERS, Cluster

EACH = 3


async def test_a_namespace_lives_on_one_master_and_all_of_them_hold_some(
    cluster: Cluster, cluster_storage: Storage
) -> None:
    names = cluster.namespaces(EACH)
    everywhere = [name for some in names.values() for name in some]
    async with crew(cluster.url, cluster_storage, everywhere) as work:
        work.start()
        for name in everywhere:
            await work.add_some(name, 20)
        await until(work.is_done, "every job has ended")
        for name in everywhere:
            await work.were_completed_once(name, work.added[name])
    for master in cluster.masters():
        beginnings = {key.partition("}")[0] + "}" for key in master.client.scan_iter(count=1000)}
        assert beginnings - {SHARED} == {beginning_of(name) for name in names[master.port]}


async def test_more_callers_than_connections_wait_for_their_turn(cluster: Cluster) -> None:
    storage = open_storage(cluster.url, pool_size=2)
    names = [name for some in cluster.namespaces(EACH).values() for name in some]
    await make_namespaces(storage, names)
    most = []

    async def enqueue(name: str) -> None:
        await storage.jobs(name).enqueue([[NewJob(id=new_id(), job_type="noted")]])
        most.append(storage.pool.used)

    await asyncio.gather(*(enqueue(name) for name in names for _ in range(50)))
    assert max(most) <= storage.pool.most
    assert storage.pool.used == 0
    assert 0 < storage.pool.idle <= storage.pool.most * MASTERS
    for name in names:
        assert sum((await storage.tally(name).stats()).by_status.values()) == 50
    await storage.close()


async def test_any_node_that_a_url_names_is_enough(cluster: Cluster) -> None:
    away = cluster.alive[-1]
    away.kill()
    others = cluster.url.removeprefix("redis+cluster://").split(",")
    for there in others[:-1]:
        storage = open_storage(f"redis+cluster://127.0.0.1:{away.port},{there}/0")
        await storage.jobs("default").enqueue([[NewJob(id=new_id(), job_type="noted")]])
        await storage.close()
