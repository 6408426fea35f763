"""Enqueueing in a transaction of the caller's: on whatever connection they have, one statement for many jobs.

Kinds are recognised without importing the library for it: who hands in a connection has loaded its library.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson
from sqlalchemy import text as sql

from dataqueue.domain.job import Enqueued, JobStatus, NewJob
from dataqueue.domain.limits import LARGEST_BATCH
from dataqueue.errors import Invalid
from dataqueue.storage.postgres.statements import source_of, statement
from dataqueue.storage.postgres.within_errors import in_our_words

Rows: TypeAlias = Sequence[Sequence[Any]]
AsyncWay: TypeAlias = Callable[[str], Awaitable[Rows]]
Way: TypeAlias = Callable[[str], Rows]

_ENQUEUE: Final = "jobs/enqueue_within"
_LARGEST_TEXT: Final = 4 << 20
_ASYNC_KINDS: Final = (
    "an AsyncSession or AsyncConnection of SQLAlchemy, a Connection of asyncpg, an AsyncConnection of psycopg 3"
)
_SYNC_KINDS: Final = "a Session or Connection of SQLAlchemy, a Connection of psycopg 3"


async def enqueue_by(way: AsyncWay, namespace: str, jobs: Sequence[NewJob]) -> list[Enqueued]:
    """See `JobStore.enqueue_within`."""
    answers: list[Enqueued] = []
    for some, text in _texts(namespace, jobs):
        with in_our_words(some, before=len(answers)):
            answers += map(_answer, await way(text))
    return answers


def enqueue_by_sync(way: Way, namespace: str, jobs: Sequence[NewJob]) -> list[Enqueued]:
    """See `JobStore.enqueue_within_sync`."""
    answers: list[Enqueued] = []
    for some, text in _texts(namespace, jobs):
        with in_our_words(some, before=len(answers)):
            answers += map(_answer, way(text))
    return answers


def async_way(connection: Any) -> AsyncWay:
    """How to run our statement on a connection. A synchronous one blocks the loop, as whatever its owner does with it.

    Invalid: it is of another kind, or in no transaction.
    """
    if not _is_async(connection):
        if not _is_sync(connection):
            raise _of_another_kind(connection, f"{_ASYNC_KINDS}, {_SYNC_KINDS}")
        return partial(_at_once, sync_way(connection))
    if _is(connection, "asyncpg", "Connection"):
        if not connection.is_in_transaction():
            raise _in_no_transaction()
        return partial(connection.fetch, statement(_ENQUEUE).sql)
    if _is(connection, "psycopg", "AsyncConnection"):
        _refuse_autocommit_of_psycopg(connection)
        return partial(_by_async_psycopg, connection)
    return partial(_by_async_sqlalchemy, connection)


def sync_way(connection: Any) -> Way:
    """As `async_way`, for a synchronous connection."""
    if not _is_sync(connection):
        raise _of_another_kind(connection, _SYNC_KINDS)
    if _is(connection, "psycopg", "Connection"):
        _refuse_autocommit_of_psycopg(connection)
        return partial(_by_psycopg, connection)
    return partial(_by_sqlalchemy, connection)


def _of_another_kind(connection: object, kinds: str) -> Invalid:
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    return Invalid(f"connection is a {kind}: give {kinds}", loc=("connection",))


def _in_no_transaction() -> Invalid:
    return Invalid(
        "connection is in no transaction, so the job would be stored whatever becomes of your work: begin one first, or"
        " leave connection out",
        loc=("connection",),
    )


def _is_async(connection: object) -> bool:
    return (
        _is(connection, "sqlalchemy.ext.asyncio", "AsyncSession", "AsyncConnection", "async_scoped_session")
        or _is(connection, "asyncpg", "Connection")
        or _is(connection, "psycopg", "AsyncConnection")
    )


def _is_sync(connection: object) -> bool:
    return (
        _is(connection, "sqlalchemy.orm", "Session", "scoped_session")
        or _is(connection, "sqlalchemy", "Connection")
        or _is(connection, "psycopg", "Connection")
    )


def _is(value: object, module: str, *names: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in names))


async def _at_once(way: Way, text: str) -> Rows:
    return way(text)


async def _by_async_sqlalchemy(given: Any, text: str) -> Rows:
    connection = given if _is(given, "sqlalchemy.ext.asyncio", "AsyncConnection") else await given.connection()
    await connection.run_sync(_refuse_autocommit_of_sqlalchemy)
    rows: Rows = (await connection.execute(sql(source_of(_ENQUEUE)), {"jobs": text})).all()
    return rows


def _by_sqlalchemy(given: Any, text: str) -> Rows:
    connection = given if _is(given, "sqlalchemy", "Connection") else given.connection()
    _refuse_autocommit_of_sqlalchemy(connection)
    rows: Rows = connection.execute(sql(source_of(_ENQUEUE)), {"jobs": text}).all()
    return rows


async def _by_async_psycopg(connection: Any, text: str) -> Rows:
    psycopg = sys.modules["psycopg"]
    # Of its plain kind: the connection's own factories may answer anything, and take other placeholders.
    async with psycopg.AsyncCursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
        await cursor.execute(_for_psycopg(), (text,))
        rows: Rows = await cursor.fetchall()
        return rows


def _by_psycopg(connection: Any, text: str) -> Rows:
    psycopg = sys.modules["psycopg"]
    with psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row) as cursor:
        cursor.execute(_for_psycopg(), (text,))
        rows: Rows = cursor.fetchall()
        return rows


def _for_psycopg() -> bytes:
    return source_of(_ENQUEUE).replace(":jobs", "%s").encode()


def _refuse_autocommit_of_psycopg(connection: Any) -> None:
    if connection.autocommit and connection.info.transaction_status.name == "IDLE":
        raise _in_no_transaction()


def _refuse_autocommit_of_sqlalchemy(connection: Any) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise _in_no_transaction()


def _texts(namespace: str, jobs: Sequence[NewJob]) -> Iterator[tuple[Sequence[NewJob], str]]:
    """The jobs in shares of one statement each, a bounded size of text, and each share's text."""
    share: list[bytes] = []
    start = size = 0
    for index, job in enumerate(jobs):
        item = _item(namespace, job)
        if share and (len(share) == LARGEST_BATCH or size + len(item) > _LARGEST_TEXT):
            yield jobs[start:index], _text(share)
            share, start, size = [], index, 0
        share.append(item)
        size += len(item)
    if share:
        yield jobs[start:], _text(share)


def _text(share: Sequence[bytes]) -> str:
    return f"[{b','.join(share).decode()}]"


def _item(namespace: str, job: NewJob) -> bytes:
    return orjson.dumps(
        {
            "namespace": namespace,
            "id": job.id,
            "job_type": job.job_type,
            "payload": orjson.Fragment(job.payload),
            "priority": job.priority,
            "run_at": job.run_at,
            "delay": None if job.delay is None else f"{job.delay.total_seconds():.6f} seconds",
            "tags": job.tags or None,
            "idempotency_key": job.idempotency_key,
            "max_attempts": job.max_attempts,
            "timeout_ms": job.timeout_ms,
            "retry_delay": job.retry.delay,
            "retry_backoff": job.retry.backoff,
            "retry_delay_max": job.retry.delay_max,
            "dead_letter_job_type": job.dead_letter_job_type,
            "force_kill_on_timeout": job.force_kill_on_timeout or None,
        }
    )


def _answer(row: Sequence[Any]) -> Enqueued:
    return Enqueued(UUID(row[0]), JobStatus(row[1]), created=row[2])
