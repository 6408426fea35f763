"""The workers of one namespace in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from dataqueue.domain.workers import Orders, WorkerSeen
from dataqueue.errors import NotFound
from dataqueue.storage.port import LIVE_FOR
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import NOWHERE, Namespaces


class PostgresWorkerRegistry:
    """See `storage.port.WorkerRegistry`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace

    async def beat(self, worker_id: str, *, kind: str, job_types: Sequence[str]) -> Orders:
        if await self._namespaces.id_of(self._namespace) == NOWHERE:
            return Orders.RUN  # there is nobody to be seen by
        [row] = await self._run("workers/beat", id=worker_id, kind=kind, job_types=list(job_types))
        return _orders_of(row)

    async def leave(self, worker_id: str) -> None:
        await self._run("workers/leave", id=worker_id)

    async def live(self) -> list[WorkerSeen]:
        return [_worker_of(row) for row in await self._run("workers/live")]

    async def drain(self, worker_id: str) -> WorkerSeen:
        rows = await self._run("workers/drain", id=worker_id)
        if not rows:
            raise NotFound("no live worker of that id")
        return _worker_of(rows[0])

    async def _run(self, verb: str, **parameters: object) -> list[Row]:
        return await self._database.run(
            verb,
            namespace_id=await self._namespaces.id_of(self._namespace),
            live_for=LIVE_FOR.total_seconds(),
            **parameters,
        )


def _orders_of(row: Row) -> Orders:
    return Orders.DRAIN if row.draining else Orders.RUN


def _worker_of(row: Row) -> WorkerSeen:
    return WorkerSeen(
        id=row.id,
        kind=row.kind,
        job_types=tuple(row.job_types),
        jobs_held=row.jobs_held,
        started_at=row.started_at,
        last_beat_at=row.last_beat_at,
        state=_orders_of(row),
    )
