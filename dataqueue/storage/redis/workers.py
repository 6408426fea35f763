"""The workers of one namespace in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from dataqueue.domain.workers import Orders, WorkerSeen
from dataqueue.errors import NotFound
from dataqueue.storage.port import LIVE_FOR
from dataqueue.storage.redis.instants import instant_of, micros
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.server import Server, Value

_LIVE_FOR: Final = micros(LIVE_FOR)


class RedisWorkerRegistry:
    """See `storage.port.WorkerRegistry`."""

    def __init__(self, server: Server, namespaces: Namespaces, namespace: str) -> None:
        self._server, self._namespaces, self._namespace = server, namespaces, namespace

    async def beat(self, worker_id: str, *, kind: str, job_types: Sequence[str]) -> Orders:
        if not await self._namespaces.exists(self._namespace):
            return Orders.RUN  # there is nobody to be seen by
        types = orjson.dumps(list(job_types)).decode()
        return _orders_of(await self._run("beat", worker_id, kind, types, _LIVE_FOR))

    async def leave(self, worker_id: str) -> None:
        await self._run("leave", worker_id)

    async def live(self) -> list[WorkerSeen]:
        found = map(_worker_of, await self._run("live", _LIVE_FOR))
        return sorted(found, key=lambda worker: worker.id)

    async def drain(self, worker_id: str) -> WorkerSeen:
        found = await self._run("drain", worker_id, _LIVE_FOR)
        if found is None:
            raise NotFound("no live worker of that id")
        return _worker_of(found)

    async def _run(self, verb: str, *arguments: Value) -> Any:
        return await self._server.run(f"workers/{verb}", self._namespace, *arguments)


def _orders_of(draining: object) -> Orders:
    return Orders.DRAIN if draining else Orders.RUN


def _worker_of(found: Sequence[Any]) -> WorkerSeen:
    """What `lua/lib/workers.lua` returns of a worker."""
    id, kind, job_types, started_at, last_beat_at, draining, held = found
    return WorkerSeen(
        id=id,
        kind=kind,
        job_types=tuple(orjson.loads(job_types)),
        jobs_held=held,
        started_at=instant_of(started_at),
        last_beat_at=instant_of(last_beat_at),
        state=_orders_of(draining),
    )
