"""The jobs of one namespace in PostgreSQL: a method a verb, a statement a method."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Beat, Enqueued, Failure, Job, JobStatus, Json, Lease, NewJob, Note, Reported
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.domain.steps import Wait
from dataqueue.errors import IllegalTransition, NotFound, StorageUnavailable
from dataqueue.storage.answers import JobPage, Swept
from dataqueue.storage.postgres import within
from dataqueue.storage.postgres.changes import Changes
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.enqueue import Enqueue
from dataqueue.storage.postgres.low_water import START, LowWater, Mark
from dataqueue.storage.postgres.namespaces import NOWHERE, Namespaces
from dataqueue.storage.postgres.pages import Pages
from dataqueue.storage.postgres.rows import claimed_of, job_of

_BY_COMPLETE: Final = frozenset({EventName.COMPLETED})
_BY_FAIL: Final = frozenset({EventName.FAILED, EventName.CANCELLED})
_BY_SUSPEND: Final = frozenset({EventName.WAITING, EventName.RESUMED, EventName.CANCELLED})
_BY_RELEASE: Final = frozenset({EventName.RELEASED, EventName.CANCELLED})


class PostgresJobStore:
    """See `storage.port.JobStore`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace
        self._enqueue = Enqueue(database)
        self._pages = Pages(database)
        self._changes = Changes(database)
        self._low_water = LowWater()

    async def enqueue(
        self, units: Sequence[Sequence[NewJob]], *, again: bool = False, waited: bool = False
    ) -> list[list[Enqueued]]:
        return await self._enqueue.units(await self._known_namespace_id(), units, again=again, waited=waited)

    async def enqueue_within(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        way = within.async_way(connection)
        # On a connection of ours: in the caller's transaction, a new type would hold up whoever else uses it first.
        # Where that fails, the job waits to be admitted.
        with suppress(StorageUnavailable):
            await self._enqueue.learn_types_of(await self._known_namespace_id(), jobs)
        return await within.enqueue_by(way, self._namespace, jobs)

    def enqueue_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return within.enqueue_by_sync(within.sync_way(connection), self._namespace, jobs)

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

    async def suspend(self, leases: Sequence[Lease], *, waits: Sequence[Sequence[Wait]]) -> list[Reported]:
        named = [(lease, wait) for lease, some in zip(leases, waits, strict=True) for wait in some]
        rows = await self._move(
            "jobs/suspend",
            leases=leases,
            wait_ids=[lease.job_id for lease, _ in named],
            wait_invocations=[lease.invocation for lease, _ in named],
            names=[wait.name for _, wait in named],
            untils=[wait.until for _, wait in named],
            delays=[None if wait.delay is None else wait.delay.total_seconds() for _, wait in named],
            token_ids=[wait.token_id for _, wait in named],
        )
        return await self._reported(leases, rows, ended_by=_BY_SUSPEND)

    async def note(self, leases: Sequence[Lease], *, notes: Sequence[Note]) -> list[Reported]:
        rows = await self._move(
            "jobs/note",
            leases=leases,
            progresses=[note.progress for note in notes],
            outputs=[note.output for note in notes],
            prolonged=[note.prolonged_ms for note in notes],
        )
        held = {Lease(row.id, row.invocation) for row in rows}
        return [Reported.OK if lease in held else Reported.LOST for lease in leases]

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
        self._refuse(Verb.CANCEL, job_ids, await self._move("jobs/cancel", ids=list(job_ids)))

    async def retry(self, job_ids: Sequence[UUID]) -> None:
        rows = await self._changes.these(Verb.RETRY, await self._namespace_id(), job_ids)
        self._refuse(Verb.RETRY, job_ids, rows)

    async def edit(self, job_ids: Sequence[UUID], edit: JobEdit) -> None:
        if not any(edit.given()):
            self._refuse(Verb.EDIT, job_ids, await self._move("jobs/find_states", ids=list(job_ids)))
            return
        await self._learn_dead_letter_type(edit)
        rows = await self._changes.these(Verb.EDIT, await self._namespace_id(), job_ids, edit=edit)
        self._refuse(Verb.EDIT, job_ids, rows)

    async def delete(self, job_ids: Sequence[UUID]) -> None:
        rows = await self._changes.these(Verb.DELETE, await self._namespace_id(), job_ids)
        self._refuse(Verb.DELETE, job_ids, rows)

    async def sweep(
        self,
        verb: Verb,
        matching: JobFilter,
        *,
        before: Position | None,
        limit: int,
        edit: JobEdit | None = None,
        dry_run: bool = False,
    ) -> Swept:
        if edit is not None and not dry_run:
            await self._learn_dead_letter_type(edit)
        return await self._changes.sweep(
            verb,
            await self._namespace_id(),
            matching,
            before=before,
            limit=limit,
            edit=edit,
            dry_run=dry_run,
        )

    async def get(self, job_id: UUID) -> Job:
        rows = await self._move("jobs/get", id=job_id)
        if not rows:
            raise NotFound(f"no job {job_id}")
        return job_of(rows[0], self._namespace)

    async def ended(self, job_ids: Sequence[UUID]) -> set[UUID]:
        return set(job_ids) - {row.id for row in await self._move("jobs/find_open", ids=list(job_ids))}

    async def page(self, matching: JobFilter, *, before: Position | None, limit: int) -> JobPage:
        return await self._pages.page(self._namespace, await self._namespace_id(), matching, before=before, limit=limit)

    async def _known_namespace_id(self) -> int:
        namespace_id = await self._namespace_id()
        if namespace_id == NOWHERE:
            name = self._namespace
            raise NotFound(f"no namespace {name!r}: `dataqueue keys create --namespace {name}` makes it")
        return namespace_id

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

    async def _learn_dead_letter_type(self, edit: JobEdit) -> None:
        namespace_id = await self._namespace_id()
        if isinstance(edit.dead_letter_job_type, str) and namespace_id != NOWHERE:
            await self._enqueue.learn_types(namespace_id, [edit.dead_letter_job_type])

    @staticmethod
    def _refuse(verb: Verb, job_ids: Sequence[UUID], rows: Sequence[Row]) -> None:
        if len(job_ids) != 1:
            return
        if not rows:
            raise NotFound(f"no job {job_ids[0]}")
        if not allows(verb, rows[0].status):
            raise IllegalTransition(verb, job_id=job_ids[0], status=rows[0].status)
