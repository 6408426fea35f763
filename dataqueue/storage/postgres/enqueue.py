"""Storing new jobs: one statement, and for keyed ones the question who was there first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final
from uuid import UUID

import asyncpg

from dataqueue.domain.job import Enqueued, JobStatus, NewJob
from dataqueue.errors import AlreadyExists, StorageRefused
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.rows import options_of

_WAIT_FOR_KEY: Final = "set local lock_timeout = '1s'"
_HARDLY_WAIT: Final = "set local lock_timeout = '20ms'"
_TRIES: Final = 3


class _WinnerVanished(Exception):
    """What stood in the way was removed before it could be read."""


class Enqueue:
    """Remembers the numbers of the job types it has met."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._type_ids: dict[tuple[int, str], int] = {}

    async def units(
        self, namespace_id: int, units: Sequence[Sequence[NewJob]], *, again: bool, waited: bool
    ) -> list[list[Enqueued]]:
        """Store all units; see `JobStore.enqueue`."""
        jobs = list(chain.from_iterable(units))
        await self.learn_types_of(namespace_id, jobs)
        if any(job.is_keyed for job in jobs):
            wait = _HARDLY_WAIT if waited else _WAIT_FOR_KEY
            answers = await self._keyed(namespace_id, jobs, units, again=again, wait=wait)
        else:
            stored = await self._database.run("jobs/enqueue", **self._columns(namespace_id, jobs))
            if len(stored) < len(jobs) and not again:
                raise StorageRefused("an id we made is taken")
            answers = {job.id: Enqueued(job.id, JobStatus.PENDING, created=True) for job in jobs}
        return [[answers[job.id] for job in unit] for unit in units]

    async def _keyed(
        self, namespace_id: int, jobs: list[NewJob], units: Sequence[Sequence[NewJob]], *, again: bool, wait: str
    ) -> dict[UUID, Enqueued]:
        for _ in range(_TRIES):
            try:
                async with self._database.transaction() as connection:
                    await connection.execute(wait)
                    return await self._store_or_find(connection, namespace_id, jobs, alone=len(units) == 1, again=again)
            except _WinnerVanished:
                continue
        raise StorageRefused("jobs with the same idempotency key keep coming and going")

    async def _store_or_find(
        self, connection: asyncpg.Connection, namespace_id: int, jobs: list[NewJob], *, alone: bool, again: bool
    ) -> dict[UUID, Enqueued]:
        asked = [job.id for job in jobs]
        if len(set(asked)) < len(asked):
            repeated = next(index for index, id in enumerate(asked) if id in asked[:index])
            if not alone:
                raise StorageRefused("one of several requests asks for an id twice")
            raise AlreadyExists(f"a job with the id {asked[repeated]}", index=repeated)
        stored = await self._database.run_on(connection, "jobs/enqueue", **self._columns(namespace_id, jobs))
        created = {row.id for row in stored}
        answers = {job.id: Enqueued(job.id, JobStatus.PENDING, created=True) for job in jobs if job.id in created}
        if len(answers) == len(jobs):
            return answers
        beaten = [job for job in jobs if job.id not in created]
        # A second statement: only that sees what another transaction committed while the first one waited for it.
        winners = await self._database.run_on(
            connection, "jobs/find_winners", namespace_id=namespace_id,
            ids=[job.id for job in beaten], idempotency_keys=[job.idempotency_key for job in beaten],
            job_type_ids=[self._type_ids[namespace_id, job.job_type] for job in beaten],
            payloads=[job.payload for job in beaten],
        )  # fmt: skip
        found: dict[UUID, Row] = {row.asked_id: row for row in winners}
        for job in beaten:
            winner = found.get(job.id)
            if winner is None:
                raise _WinnerVanished
            ours = again and winner.id == job.id and winner.is_same
            if not ours and not (winner.has_key and job.idempotency_key is not None):
                if not alone:
                    raise StorageRefused("one of several requests asks for an id that is taken")
                raise AlreadyExists(f"a job with the id {job.id}", index=jobs.index(job))
            answers[job.id] = Enqueued(winner.id, JobStatus(winner.status), created=ours)
        return answers

    async def learn_types_of(self, namespace_id: int, jobs: Sequence[NewJob]) -> None:
        """Have the job types that the jobs name."""
        names = {job.job_type for job in jobs} | {job.dead_letter_job_type for job in jobs}
        await self.learn_types(namespace_id, [name for name in names if name is not None])

    async def learn_types(self, namespace_id: int, names: Sequence[str]) -> None:
        """Have these job types, making those that are not there."""
        unknown = sorted(name for name in names if (namespace_id, name) not in self._type_ids)
        while unknown:  # a second round when another process made one at the same moment
            rows = await self._database.run("jobs/ensure_types", namespace_id=namespace_id, names=unknown)
            self._type_ids.update({(namespace_id, row.name): row.id for row in rows})
            unknown = [name for name in unknown if (namespace_id, name) not in self._type_ids]

    def _columns(self, namespace_id: int, jobs: Sequence[NewJob]) -> dict[str, Any]:
        return {
            "namespace_id": namespace_id,
            "ids": [job.id for job in jobs],
            "job_type_ids": [self._type_ids[namespace_id, job.job_type] for job in jobs],
            "ranks": [-job.priority for job in jobs],
            "run_ats": [job.run_at for job in jobs],
            "delays": [None if job.delay is None else job.delay.total_seconds() for job in jobs],
            "max_attempts": [job.max_attempts for job in jobs],
            "payloads": [job.payload for job in jobs],
            "tags": [array_of(job.tags) for job in jobs],
            "idempotency_keys": [job.idempotency_key for job in jobs],
            "options": [options_of(job) for job in jobs],
        }


def array_of(tags: Sequence[str]) -> str | None:
    """Tags as the text of an array: arrays of different lengths cannot travel in one parameter."""
    if not tags:
        return None
    return "{" + ",".join('"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"' for tag in tags) + "}"
