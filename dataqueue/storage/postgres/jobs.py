"""The jobs of one namespace in PostgreSQL: a method a verb, a statement a method."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import (
    Beat,
    ClaimedJob,
    Enqueued,
    Failure,
    Job,
    JobStatus,
    Json,
    Lease,
    NewJob,
    Reported,
)
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.enqueue import Enqueue
from dataqueue.storage.postgres.filters import page_query
from dataqueue.storage.postgres.low_water import START, LowWater, Mark
from dataqueue.storage.postgres.namespaces import NOWHERE, Namespaces
from dataqueue.storage.postgres.rows import claimed_of, job_of

_BY_COMPLETE: Final = frozenset({EventName.COMPLETED})
_BY_FAIL: Final = frozenset({EventName.FAILED, EventName.CANCELLED})
_BY_RELEASE: Final = frozenset({EventName.RELEASED, EventName.CANCELLED})


class PostgresJobStore:
    """See `storage.port.JobStore`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace
        self._enqueue = Enqueue(database)
        self._low_water = LowWater()

    async def enqueue(self, units: Sequence[Sequence[NewJob]], *, again: bool = False) -> list[list[Enqueued]]:
        namespace_id = await self._namespace_id()
        if namespace_id == NOWHERE:
            name = self._namespace
            raise NotFound(f"no namespace {name!r}: `dataqueue keys create --namespace {name}` makes it")
        return await self._enqueue.units(namespace_id, units, again=again)

    async def claim(
        self, job_types: Sequence[str], *, limit: int, worker_id: str, lease: timedelta
    ) -> list[ClaimedJob]:
        starts = self._low_water.starts_for(job_types)
        rows = await self._take(job_types, starts, limit=limit, worker_id=worker_id, lease=lease)
        if len(rows) < limit and any(start is not START for start in starts):
            beginning = [START] * len(job_types)
            left = limit - len(rows)
            # What this raises the claimer must hear of: it recalls what both looks took.
            rows += await self._take(job_types, beginning, limit=left, worker_id=worker_id, lease=lease)
        lasts = {row.job_type: Mark(row.rank, row.run_at, row.seq) for row in rows}
        self._low_water.claimed(lasts, was_full=len(rows) == limit)
        return [claimed_of(row, self._namespace) for row in rows]

    async def _take(
        self, job_types: Sequence[str], starts: Sequence[Mark], *, limit: int, worker_id: str, lease: timedelta
    ) -> list[Row]:
        rows = await self._move(
            "jobs/claim",
            job_types=list(job_types),
            ranks=[start.rank for start in starts],
            run_ats=[start.run_at for start in starts],
            seqs=[start.seq for start in starts],
            one_type=len(job_types) == 1,
            limit=limit,
            worker_id=worker_id,
            lease=lease.total_seconds(),
        )
        return list(rows)

    async def heartbeat(self, leases: Sequence[Lease], *, lease: timedelta) -> list[Beat]:
        rows = await self._move("jobs/heartbeat", leases=leases, lease=lease.total_seconds())
        beats = {Lease(row.id, row.invocation): Beat(row.beat) for row in rows}
        if missing := [held.job_id for held in leases if held not in beats]:
            for row in await self._move("jobs/find_states", ids=missing):
                if row.status == JobStatus.PROCESSING:
                    beats.setdefault(Lease(row.id, row.invocation), Beat.BUSY)
        return [beats.get(held, Beat.LOST) for held in leases]

    async def abandon(self, leases: Sequence[Lease]) -> None:
        await self._move("jobs/heartbeat", leases=leases, lease=-1.0)

    async def complete(self, leases: Sequence[Lease], *, outputs: Sequence[Json | None]) -> list[Reported]:
        rows = await self._move("jobs/complete", leases=leases, outputs=list(outputs))
        return await self._reported(leases, rows, ended_by=_BY_COMPLETE)

    async def fail(self, leases: Sequence[Lease], *, failures: Sequence[Failure]) -> list[Reported]:
        rows = await self._move(
            "jobs/fail",
            leases=leases,
            messages=[failure.message for failure in failures],
            types=[failure.type for failure in failures],
            reasons=[failure.reason for failure in failures],
            delays=[None if f.retry_after is None else f.retry_after.total_seconds() for f in failures],
        )
        return await self._reported(leases, rows, ended_by=_BY_FAIL)

    async def release(self, leases: Sequence[Lease]) -> list[Reported]:
        rows = await self._move("jobs/release", leases=leases)
        return await self._reported(leases, rows, ended_by=_BY_RELEASE)

    async def recall(self, worker_id: str, *, known: Sequence[Lease]) -> int:
        return len(await self._move("jobs/recall", leases=known, worker_id=worker_id))

    async def cancel(self, job_ids: Sequence[UUID]) -> None:
        rows = await self._move("jobs/cancel", ids=list(job_ids))
        self._refuse(job_ids, rows, verb="cancel", unless={"pending", "waiting", "processing"})

    async def retry(self, job_ids: Sequence[UUID]) -> None:
        rows = await self._move("jobs/retry", ids=list(job_ids))
        self._refuse(job_ids, rows, verb="retry", unless={"failed", "cancelled"})

    async def get(self, job_id: UUID) -> Job:
        rows = await self._move("jobs/get", id=job_id)
        if not rows:
            raise NotFound(f"no job {job_id}")
        return job_of(rows[0])

    async def ended(self, job_ids: Sequence[UUID]) -> set[UUID]:
        return set(job_ids) - {row.id for row in await self._move("jobs/find_open", ids=list(job_ids))}

    async def page(self, matching: JobFilter, *, before: int | None, limit: int) -> list[Job]:
        rows = await self._database.select(
            page_query(matching, goes_on=before is not None),
            namespace_id=await self._namespace_id(),
            job_types=list(matching.job_types),
            before=before,
            limit=limit,
        )
        return [job_of(row) for row in rows]

    async def _namespace_id(self) -> int:
        return await self._namespaces.id_of(self._namespace)

    async def _move(self, verb: str, *, leases: Sequence[Lease] | None = None, **parameters: object) -> Sequence[Row]:
        if leases is not None:
            parameters["ids"] = [lease.job_id for lease in leases]
            parameters["invocations"] = [lease.invocation for lease in leases]
        return await self._database.run(verb, namespace_id=await self._namespace_id(), **parameters)

    async def _reported(
        self, leases: Sequence[Lease], rows: Sequence[Row], *, ended_by: frozenset[EventName]
    ) -> list[Reported]:
        """The own number on a job that was ended by this very verb: a repeat. Anything else came too late."""
        if len(rows) == len(leases):
            return [Reported.OK] * len(leases)
        moved = {Lease(row.id, row.invocation) for row in rows}
        others = [lease.job_id for lease in leases if lease not in moved]
        standing = {row.id: row for row in await self._move("jobs/find_states", ids=others)}

        def state_of(lease: Lease) -> Reported:
            if lease in moved:
                return Reported.OK
            now = standing.get(lease.job_id)
            if now is None or now.invocation != lease.invocation or now.status == JobStatus.PROCESSING:
                return Reported.LOST
            return Reported.DUPLICATE if now.ended_by in ended_by else Reported.LOST

        return [state_of(lease) for lease in leases]

    @staticmethod
    def _refuse(job_ids: Sequence[UUID], rows: Sequence[Row], *, verb: str, unless: set[str]) -> None:
        if len(job_ids) != 1:
            return
        if not rows:
            raise NotFound(f"no job {job_ids[0]}")
        if rows[0].status not in unless:
            raise IllegalTransition(verb, job_id=job_ids[0], status=rows[0].status)
