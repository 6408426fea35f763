"""A slot moves to another master while its namespace is at work."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Storage
from tests.cluster.crew import crew, until
from tests.cluster.redis_clusters import Cluster, slot_of

_SLOWLY: Final[dict[str, Any]] = {"keys_at_once": 20, "pause": 0.05}


async def test_a_namespace_stands_still_while_it_moves_and_goes_on_where_it_is(
    cluster: Cluster, cluster_storage: Storage
) -> None:
    first, second, third = cluster.masters()
    names = cluster.namespaces(2)
    moving, staying = names[first.port]
    elsewhere = names[second.port][0]
    async with crew(cluster.url, cluster_storage, [moving, staying, elsewhere]) as work:
        work.start()
        async with work.adding():
            await until(work.has_added(moving, 200), "jobs of the namespace that will move")
            await asyncio.to_thread(cluster.move, moving, third, **_SLOWLY)
            await until(work.has_added(moving, 200), "jobs added where it is now")
            await asyncio.to_thread(cluster.move, moving, second, **_SLOWLY)
            await until(work.has_added(moving, 200), "jobs added where it is at last")
        await until(work.is_done, "every job has ended")
        for name in (moving, staying, elsewhere):
            await work.were_completed_once(name, work.added[name])
        assert work.refusals[moving], "nothing was asked while it moved"
        assert not work.refusals[staying] + work.refusals[elsewhere]
        assert {type(error) for error in work.troubles + work.refusals[moving]} == {StorageUnavailable}
    assert cluster.master_of(moving) is second
    for node in (first, third):
        assert not node.say("COUNTKEYSINSLOT", slot_of(moving))
