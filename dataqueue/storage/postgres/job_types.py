"""The job types of one namespace in PostgreSQL, and what is set for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import orjson

from dataqueue.domain.counts import JobType, JobTypeSettings
from dataqueue.errors import NotFound
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import NOWHERE, Namespaces
from dataqueue.storage.postgres.tally import counts_of

_NO_OPTION: Final = "paused"
"""The one setting that is no default of a new job: it has a column of its own, which every claim reads."""


class PostgresJobTypeStore:
    """See `storage.port.JobTypeStore`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace

    async def page(self, *, after: str | None, limit: int) -> list[JobType]:
        namespace_id = await self._namespaces.id_of(self._namespace)
        rows = await self._database.run("job_types/page", namespace_id=namespace_id, after=after, limit=limit)
        return [_job_type_of(row) for row in rows]

    async def get(self, job_type: str) -> JobType:
        namespace_id = await self._namespaces.id_of(self._namespace)
        rows = await self._database.run("job_types/get", namespace_id=namespace_id, name=job_type)
        if not rows:
            raise NotFound("no such job type")
        return _job_type_of(rows[0])

    async def put(self, job_type: str, settings: JobTypeSettings) -> None:
        options = {name: value for name, value in asdict(settings).items() if name != _NO_OPTION and value is not None}
        await self._database.run(
            "job_types/put",
            namespace_id=await self._namespace_id(),
            name=job_type,
            paused=settings.paused,
            options=orjson.dumps(options).decode(),
        )

    async def pause(self, job_type: str, *, paused: bool) -> None:
        namespace_id = await self._namespace_id()
        await self._database.run("job_types/pause", namespace_id=namespace_id, name=job_type, paused=paused)

    async def _namespace_id(self) -> int:
        namespace_id = await self._namespaces.id_of(self._namespace)
        if namespace_id == NOWHERE:
            raise NotFound(f"no namespace {self._namespace!r}")
        return namespace_id


def _job_type_of(row: Row) -> JobType:
    options: dict[str, Any] = {} if row.options is None else orjson.loads(row.options)
    return JobType(job_type=row.job_type, settings=JobTypeSettings(paused=row.paused, **options), counts=counts_of(row))
