"""Storing new jobs: a script, which also knows who was there first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import accumulate, chain
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.job import Enqueued, JobStatus, NewJob
from dataqueue.errors import AlreadyExists, DataQueueError, StorageRefused, StorageUnavailable
from dataqueue.storage.redis.instants import micros, micros_at
from dataqueue.storage.redis.server import Server, Value

_AT_ONCE: Final = 50
"""Jobs of one script, where it may be cut: it keeps everybody else waiting meanwhile, 1 ms, and up to 3 behind a
million jobs."""
_LEFT_AFTER: Final = timedelta(seconds=5)


async def enqueue(
    server: Server, namespace: str, units: Sequence[Sequence[NewJob]], *, again: bool
) -> list[list[Enqueued]]:
    """Store all units; see `JobStore.enqueue`."""
    jobs = list(chain.from_iterable(units))
    _refuse_repeated_ids(jobs, alone=len(units) == 1)
    if not _is_cuttable(jobs):
        return await _store(server, namespace, units, again=again)
    answers: list[list[Enqueued]] = []
    for some in _cut(units, at=_AT_ONCE):
        is_batch = len(some) == 1 and len(some[0]) > _AT_ONCE
        with _some_of_it_done(bool(answers)):
            if is_batch:
                answers.append(await _store_batch(server, namespace, some[0]))
            else:
                answers += await _store(server, namespace, some, again=again)
    return answers


async def _store_batch(server: Server, namespace: str, jobs: Sequence[NewJob]) -> list[Enqueued]:
    """All of them or none, though it takes several scripts: the first keeps the batch as it is, and from then on its
    jobs will be there, if need be by the hand of others (`take_up_left_batches`)."""
    batch = str(jobs[0].id)
    await server.run("jobs/lay_down", namespace, batch, *pieces_of(jobs))
    with _some_of_it_done(True):
        answers: list[Enqueued] = []
        while len(answers) < len(jobs):
            count, *found = await server.run("jobs/take_up", namespace, batch, 0)
            if not count:
                break
            answers += _answers(jobs[len(answers) : len(answers) + int(count)], found)
        if len(answers) == len(jobs):
            return answers
        # Others have taken up some: all are there, and this asks what became of each.
        pieces = [await _store(server, namespace, [piece], again=True) for piece in _in_pieces(jobs)]
        return [one for [piece] in pieces for one in piece]


def _in_pieces(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """What one script stores at a time of jobs that are kept already."""
    for first in range(0, len(jobs), _AT_ONCE):
        yield jobs[first : first + _AT_ONCE]


def pieces_of(jobs: Sequence[NewJob]) -> Iterator[Value]:
    """A batch as `lua/jobs/lay_down.lua` takes it. A text for a whole piece: each value that a script is given costs it
    a microsecond or two, and there would be four of each job."""
    for piece in _in_pieces(jobs):
        yield orjson.dumps([*chain.from_iterable(map(values_of, piece))]).decode()


@contextmanager
def _some_of_it_done(done: bool) -> Iterator[None]:
    """Where part of what was asked for is stored, not even a refusal of the rest says that nothing was."""
    try:
        yield
    except DataQueueError as error:
        if not done:
            raise
        raise StorageUnavailable(str(error), outcome_unknown=True) from error


async def take_up_left_batches(server: Server, namespace: str) -> int:
    """Finish batches whose caller has not come back for them; says how many jobs they had left."""
    left = 0
    while count := int((await server.run("jobs/take_up", namespace, "", micros(_LEFT_AFTER)))[0]):
        left += count
    return left


async def _store(
    server: Server, namespace: str, units: Sequence[Sequence[NewJob]], *, again: bool
) -> list[list[Enqueued]]:
    """By one script, all of them or none."""
    jobs = list(chain.from_iterable(units))
    if not jobs:
        return [[] for _ in units]
    values = chain.from_iterable(values_of(job) for job in jobs)
    found = await server.run("jobs/enqueue", namespace, "again" if again else "", *values)
    if found and found[0] == "taken":
        _refuse(jobs, int(found[1]), alone=len(units) == 1)
    answers = _answers(jobs, found)
    ends = accumulate(len(unit) for unit in units)
    return [answers[end - len(unit) : end] for unit, end in zip(units, ends, strict=True)]


def _answers(jobs: Sequence[NewJob], found: Sequence[Any]) -> list[Enqueued]:
    """What `lua/lib/adding.lua` says of jobs."""
    answers = [Enqueued(job.id, JobStatus.PENDING, created=True) for job in jobs]
    for place, id, status, word in zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True):
        answers[int(place)] = Enqueued(UUID(id), JobStatus(status), created=word == "created")
    return answers


def _is_cuttable(jobs: Sequence[NewJob]) -> bool:
    """Whether several scripts may store them: none can be refused after another was stored, for only a caller's id is
    ever refused. Who is cut off in between does not know the outcome, and asks again."""
    return not any(job.id_is_callers for job in jobs)


def _cut(units: Sequence[Sequence[NewJob]], *, at: int) -> Iterator[list[Sequence[NewJob]]]:
    """Whole units, together of at most so many jobs if that can be."""
    some: list[Sequence[NewJob]] = []
    size = 0
    for unit in units:
        if some and size + len(unit) > at:
            yield some
            some, size = [], 0
        some.append(unit)
        size += len(unit)
    yield some


def _refuse_repeated_ids(jobs: Sequence[NewJob], *, alone: bool) -> None:
    seen: set[UUID] = set()
    for index, job in enumerate(jobs):
        if job.id in seen:
            _refuse(jobs, index, alone=alone)
        seen.add(job.id)


def _refuse(jobs: Sequence[NewJob], index: int, *, alone: bool) -> None:
    if not alone or not jobs[index].is_keyed:
        raise StorageRefused("one of the jobs asks for an id that is taken")
    raise AlreadyExists(f"a job with the id {jobs[index].id}", index=index)


def values_of(job: NewJob) -> tuple[Value, ...]:
    """A job as `lua/jobs/enqueue.lua` takes it."""
    retry = job.retry
    asked = {
        "rank": -job.priority or None,
        "run_at": None if job.run_at is None else micros_at(job.run_at),
        "delay": None if job.delay is None else micros(job.delay),
        "max_attempts": job.max_attempts,
        "tags": orjson.dumps(job.tags).decode() if job.tags else None,
        "key": job.idempotency_key,
        "timeout_ms": job.timeout_ms,
        "retry_delay": None if retry.delay is None else repr(retry.delay),
        "retry_backoff": None if retry.backoff is None else str(int(retry.backoff)),
        "retry_delay_max": None if retry.delay_max is None else repr(retry.delay_max),
        "dead_type": job.dead_letter_job_type,
        "force_kill": int(job.force_kill_on_timeout) or None,
        "reusable": job.id_is_callers or None,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    return str(job.id), job.job_type, job.payload, orjson.dumps(given).decode() if given else ""
