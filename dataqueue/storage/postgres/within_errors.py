"""What a driver of the caller's raises while we enqueue in their transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from dataqueue.domain.job import NewJob
from dataqueue.errors import (
    AlreadyExists,
    DataQueueError,
    IdempotencyInProgress,
    Invalid,
    NotFound,
    StorageNotReady,
)

_OURS: Final = "dataqueue_enqueue: "
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@contextmanager
def in_our_words(jobs: Sequence[NewJob], *, before: int) -> Iterator[None]:
    """What our function refuses becomes an error of ours. All else is about the caller's connection or transaction, and
    they may count on their driver's errors (to repeat after a serialization failure, say): it is left alone."""
    try:
        yield
    except DataQueueError:
        raise
    except Exception as error:
        meaning = _meaning_of(error, jobs, before)
        if meaning is None:
            raise
        raise meaning from error


def _meaning_of(error: Exception, jobs: Sequence[NewJob], before: int) -> DataQueueError | None:
    cause = _of_the_server(error)
    if cause is None:
        return None
    told = getattr(cause, "diag", cause)
    message = str(getattr(told, "message_primary", None) or getattr(told, "message", ""))
    column = getattr(told, "column_name", None)
    rule = message.removeprefix(_OURS)
    match getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None):
        case "22023" if message.startswith(_OURS):
            return NotFound(rule) if column == "namespace" else Invalid(rule, loc=(column,) if column else ())
        case "23505" if message.startswith(_OURS) and (found := _ID.search(message)):
            id = UUID(found[0])
            places = [index for index, job in enumerate(jobs) if job.id == id]
            return AlreadyExists(f"a job with the id {id}", index=before + places[-1] if places else 0)
        case "55P03":
            return IdempotencyInProgress("another transaction is storing a job with the same idempotency key or id")
        case "42883" | "3F000" | "42P01" | "42703":
            return StorageNotReady(
                "the database of this connection has no dataqueue_enqueue: run `dataqueue migrate` on it"
            )
        case "42501":
            return StorageNotReady("the role of this connection may not enqueue: grant dataqueue_enqueuer to it")
        case "25P02":
            return Invalid("the transaction of this connection has failed already: roll it back", loc=("connection",))
    return None


def _of_the_server(error: BaseException | None) -> BaseException | None:
    """The driver's error that carries the server's words: SQLAlchemy wraps it once, and that of asyncpg twice."""
    while error is not None:
        if hasattr(error, "diag") or hasattr(error, "column_name"):
            return error
        error = getattr(error, "orig", None) or error.__cause__
    return None
