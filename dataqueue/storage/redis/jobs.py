"""The jobs of one namespace in Redis: a method a verb, a script a method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Beat, Enqueued, Failure, Job, JobStatus, Json, Lease, NewJob, Note, Reported
from dataqueue.domain.lifecycle import Verb, allows
from dataqueue.domain.steps import Wait
from dataqueue.errors import IllegalTransition, NotFound, Unsupported
from dataqueue.ids import new_id
from dataqueue.storage.answers import JobPage, Swept
from dataqueue.storage.redis.changes import sweep
from dataqueue.storage.redis.cutting import AT_ONCE, in_pieces
from dataqueue.storage.redis.edit import arguments_of
from dataqueue.storage.redis.enqueue import enqueue
from dataqueue.storage.redis.instants import micros, micros_at
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.pages import page
from dataqueue.storage.redis.rows import claimed_of, job_of
from dataqueue.storage.redis.server import Server, Value

_LONG_PAST: Final = timedelta(seconds=-1)


class RedisJobStore:
    """See `storage.port.JobStore`."""

    def __init__(self, server: Server, namespaces: Namespaces, namespace: str) -> None:
        self._server, self._namespaces, self._namespace = server, namespaces, namespace

    async def enqueue(
        self, units: Sequence[Sequence[NewJob]], *, again: bool = False, waited: bool = False
    ) -> list[list[Enqueued]]:
        if not await self._namespaces.exists(self._namespace):
            name = self._namespace
            raise NotFound(f"no namespace {name!r}: `dataqueue keys create --namespace {name}` makes it")
        return await enqueue(self._server, self._namespace, units, again=again)

    async def enqueue_within(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self.enqueue_within_sync(connection, jobs)

    def enqueue_within_sync(self, connection: object, jobs: Sequence[NewJob]) -> list[Enqueued]:
        raise Unsupported("a job in Redis cannot be part of a transaction elsewhere: leave out connection=")

    async def claim(
        self, job_types: Sequence[str], *, limit: int, worker_id: str, lease: timedelta
    ) -> list[ClaimedJob]:
        job_types = list(dict.fromkeys(job_types))
        if not job_types:
            return []
        claimed: list[ClaimedJob] = []
        asked: tuple[Value, ...] = (worker_id, orjson.dumps(worker_id).decode(), micros(lease), *job_types)
        while len(claimed) < limit:
            room = min(limit - len(claimed), AT_ONCE)
            found = await self._run("claim", room, *asked)
            claimed += [claimed_of(one, self._namespace) for one in found]
            if len(found) < room:
                break
        return claimed

    async def complete(self, leases: Sequence[Lease], *, outputs: Sequence[Json | None]) -> list[Reported]:
        return await self._report(
            "complete", [(*_named(one), out or "") for one, out in zip(leases, outputs, strict=True)]
        )

    async def fail(self, leases: Sequence[Lease], *, failures: Sequence[Failure]) -> list[Reported]:
        return await self._report(
            "fail", [(*_named(one), *_told(failure)) for one, failure in zip(leases, failures, strict=True)]
        )

    async def suspend(self, leases: Sequence[Lease], *, waits: Sequence[Sequence[Wait]]) -> list[Reported]:
        items = [(*_named(one), len(some), *_awaited(some)) for one, some in zip(leases, waits, strict=True)]
        return await self._report("suspend", items)

    async def note(self, leases: Sequence[Lease], *, notes: Sequence[Note]) -> list[Reported]:
        return await self._report(
            "note", [(*_named(one), *_noted(note)) for one, note in zip(leases, notes, strict=True)]
        )

    async def release(self, leases: Sequence[Lease]) -> list[Reported]:
        return await self._report("release", [_named(one) for one in leases])

    async def heartbeat(self, leases: Sequence[Lease], *, lease: timedelta) -> list[Beat]:
        words = await self._in_pieces("heartbeat", [_named(one) for one in leases], micros(lease))
        return [Beat(word) for word in words]

    async def abandon(self, leases: Sequence[Lease]) -> None:
        await self.heartbeat(leases, lease=_LONG_PAST)

    async def recall(self, worker_id: str, *, known: Sequence[Lease]) -> int:
        names: list[Value] = list(chain.from_iterable(_named(one) for one in known))
        recalled = 0
        while True:
            count = int(await self._run("recall", worker_id, AT_ONCE, *names))
            recalled += count
            if count < AT_ONCE:
                return recalled

    async def cancel(self, job_ids: Sequence[UUID]) -> None:
        await self._change(Verb.CANCEL, job_ids)

    async def retry(self, job_ids: Sequence[UUID]) -> None:
        await self._change(Verb.RETRY, job_ids)

    async def edit(self, job_ids: Sequence[UUID], edit: JobEdit) -> None:
        if any(edit.given()):
            await self._change(Verb.EDIT, job_ids, *arguments_of(edit))
        else:
            _refuse(Verb.EDIT, job_ids, await self._states_of(job_ids))

    async def delete(self, job_ids: Sequence[UUID]) -> None:
        await self._change(Verb.DELETE, job_ids)

    async def ended(self, job_ids: Sequence[UUID]) -> set[UUID]:
        states = zip(job_ids, await self._states_of(job_ids), strict=True)
        return {job_id for job_id, status in states if status is None or JobStatus(status).is_terminal}

    async def get(self, job_id: UUID) -> Job:
        found = await self._run("get", str(job_id))
        if not found:
            raise NotFound(f"no job {job_id}")
        return job_of(found[0], self._namespace)

    async def page(self, matching: JobFilter, *, before: Position | None, limit: int) -> JobPage:
        return await page(self._server, self._namespace, matching, before=before, limit=limit)

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
        how: dict[str, Any] = {"before": before, "limit": limit, "edit": edit, "dry_run": dry_run}
        return await sweep(self._server, self._namespace, verb, matching, **how)

    async def _states_of(self, job_ids: Sequence[UUID]) -> list[str | None]:
        return await self._in_pieces("find_states", [(str(job_id),) for job_id in job_ids])

    async def _change(self, verb: Verb, job_ids: Sequence[UUID], *before: Value) -> None:
        """By the script of the verb, each job once."""
        once = [(str(job_id),) for job_id in dict.fromkeys(job_ids)]
        _refuse(verb, job_ids, await self._in_pieces(verb, once, *before))

    async def _report(self, verb: str, items: Sequence[Sequence[Value]], *before: Value) -> list[Reported]:
        """A word for each lease, by a script that takes `before` and the values of each."""
        return [Reported(word) for word in await self._in_pieces(verb, items, *before)]

    async def _in_pieces(self, verb: str, items: Sequence[Sequence[Value]], *before: Value) -> list[Any]:
        answers: list[Any] = []
        for some in in_pieces(items):
            answers += await self._run(verb, *before, *chain.from_iterable(some))
        return answers

    async def _run(self, verb: str, *values: Value) -> Any:
        return await self._server.run(f"jobs/{verb}", self._namespace, *values)


def _named(lease: Lease) -> tuple[str, int]:
    return str(lease.job_id), lease.invocation


def _told(failure: Failure) -> tuple[Value, ...]:
    """A failure as `lua/jobs/fail.lua` takes it, and the id that a dead letter would have."""
    return (
        orjson.dumps(failure.message).decode(),
        orjson.dumps(failure.type).decode(),
        failure.reason,
        "" if failure.retry_after is None else micros(failure.retry_after),
        str(new_id()),
    )


def _awaited(waits: Sequence[Wait]) -> Iterator[Value]:
    """Waits as `lua/lib/waits.lua` takes them."""
    for wait in waits:
        yield wait.name
        if wait.token_id is not None:
            yield from ("token", str(wait.token_id))
        elif wait.until is not None:
            yield from ("until", micros_at(wait.until))
        else:
            yield from ("delay", micros(wait.delay or timedelta()))


def _noted(note: Note) -> tuple[Value, ...]:
    """A note as `lua/jobs/note.lua` takes it."""
    progress = "" if note.progress is None else note.progress
    return progress, note.output or "", "" if note.prolonged_ms is None else note.prolonged_ms


def _refuse(verb: Verb, job_ids: Sequence[UUID], states: Sequence[str | None]) -> None:
    """Of a single job: NotFound, or IllegalTransition."""
    if len(job_ids) != 1:
        return
    [status] = states
    if status is None:
        raise NotFound(f"no job {job_ids[0]}")
    if not allows(verb, JobStatus(status)):
        raise IllegalTransition(verb, job_id=job_ids[0], status=JobStatus(status))
