"""What the driver raises, in the queue's own words: the one table of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from dataqueue.errors import (
    DataQueueError,
    IdempotencyInProgress,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
)

_LOCK_NOT_AVAILABLE: Final = "55P03"
_UNDEFINED: Final = frozenset({"42P01", "3F000", "42883", "42703"})  # table, schema, function, column
_NO_DATABASE: Final = "3D000"
_REFUSED_US: Final = frozenset({"28000", "28P01", "42501"})  # no such role, password; no right
_TRANSIENT: Final = frozenset({"40001", "40P01", "53300", "57P01", "57P02", "57P03", "25006"})
_OF_THE_DATA: Final = ("21", "22", "23", "42", "54")  # only these would be refused again
_NEVER_RAN: Final = frozenset({"40001", "40P01", "53300", "57P03", "25006"})


@contextmanager
def translated(*, ran: bool = True) -> Iterator[None]:
    """Errors of the driver inside the block leave it as ours. `ran`: a statement may have reached the server."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise _meaning_of(error, ran=ran) from error
    except DBAPIError as error:
        raise _meaning_of(getattr(error.orig, "__cause__", None) or error, ran=ran) from error
    except TimeoutError as error:
        raise StorageUnavailable("the storage did not answer in time", outcome_unknown=ran) from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StorageUnavailable(f"cannot reach the storage: {why}", outcome_unknown=ran) from error


def _meaning_of(error: BaseException, *, ran: bool) -> DataQueueError:
    state = getattr(error, "sqlstate", None)
    if state == _LOCK_NOT_AVAILABLE:
        return IdempotencyInProgress("another transaction is storing a job with the same idempotency key")
    if state in _UNDEFINED:
        return StorageNotReady("the storage lacks our tables, or has those of another version: run `dataqueue migrate`")
    if state == _NO_DATABASE:
        return StorageNotReady("there is no such database: check DATAQUEUE_URL, or create it")
    if state in _REFUSED_US:
        return StorageNotReady(f"the database does not let us in ({state}): check DATAQUEUE_URL and the role's rights")
    # Without a state it is the driver that speaks: of a broken connection, or of a value it cannot encode.
    broken = not isinstance(error, ValueError) if state is None else not state.startswith(_OF_THE_DATA)
    if broken:
        return StorageUnavailable(
            "the connection to the storage broke", outcome_unknown=ran and state not in _NEVER_RAN
        )
    return StorageRefused(f"the storage refused a statement ({state}): {type(error).__name__}")
