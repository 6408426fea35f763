"""A master dies, and its replica takes over: what goes on, and what may be lost."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Storage
from dataqueue.storage.redis.keys import SHARED, beginning_of
from tests.cluster.crew import crew, until
from tests.cluster.redis_clusters import Cluster, Node

_CONFIRM_WITHIN: Final = 1000
"""Milliseconds for a replica to say that it has what its master had."""


@pytest.mark.parametrize("knows_the_names", [True, False], ids=["where the names are", "elsewhere"])
async def test_what_a_replica_confirmed_is_done_once_and_the_others_do_not_notice(
    cluster: Cluster, cluster_storage: Storage, knows_the_names: bool
) -> None:
    names = cluster.namespaces(2)
    where_the_names_are = cluster.master_with(SHARED)
    victim = next(one for one in cluster.masters() if (one is where_the_names_are) is knows_the_names)
    hit, spared = names[victim.port], [name for port, some in names.items() if port != victim.port for name in some]
    async with crew(cluster.url, cluster_storage, [*hit, *spared]) as work:
        work.start()
        async with work.adding():
            for name in hit:
                await until(work.has_added(name, 200), "jobs on the master that will die")
            safe = {name: list(work.added[name]) for name in hit}
            assert await asyncio.to_thread(_is_confirmed, victim, hit[0]), "no replica has confirmed"
            await asyncio.to_thread(victim.kill)
            await until(lambda: cluster.has_taken_over(victim), "its replica is master")
            taken_over = {name: len(work.added[name]) for name in hit}
            for name in (*hit, *spared):
                await until(work.has_added(name, 200), "jobs added afterwards")
        await until(work.is_done, "every job has ended", within=60)
        for name in hit:
            await work.were_completed_once(name, [*safe[name], *work.added[name][taken_over[name] :]])
        for name in spared:
            await work.were_completed_once(name, work.added[name])
            assert not work.refusals[name]
        errors = [*work.troubles, *(error for name in hit for error in work.refusals[name])]
        assert errors, "nothing was asked while it was away"
        assert {type(error) for error in errors} == {StorageUnavailable}


def _is_confirmed(master: Node, namespace: str) -> bool:
    """Whether a replica has all that its master had when this was asked: what is written to it has an order."""
    probe = f"{beginning_of(namespace)}probe"
    with master.client.client() as same_connection:
        same_connection.set(probe, "all before this")
        confirmed = bool(same_connection.execute_command("WAIT", 1, _CONFIRM_WITHIN))
        same_connection.delete(probe)
    return confirmed
