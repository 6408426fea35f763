"""What the driver raises, in the queue's own words: the one table of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dataqueue.errors import (
    DataQueueError,
    IdempotencyInProgress,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
)

_LOCK_NOT_AVAILABLE: Final = "55P03"
_UNDEFINED: Final = frozenset({"42P01", "3F000", "42883", "42703"})  # table, schema, function, column
_REFUSED_US: Final = frozenset({"3D000", "28000", "28P01", "42501"})  # no such database, role, password; no right
_TRANSIENT: Final = frozenset({"40001", "40P01", "53300", "57P01", "57P02", "57P03", "25006"})
_NEVER_RAN: Final = frozenset({"40001", "40P01", "53300", "57P03", "25006"})


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver inside the block leave it as ours."""
    try:
        yield
    except DBAPIError as error:
        raise _meaning_of(error) from error
    except PoolTimeout as error:
        raise StorageUnavailable("no connection to the storage became free in time") from error
    except TimeoutError as error:
        raise StorageUnavailable("the storage did not answer in time", outcome_unknown=True) from error
    except OSError as error:
        raise StorageUnavailable(f"cannot reach the storage: {type(error).__name__}") from error


def _meaning_of(error: DBAPIError) -> DataQueueError:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    if state == _LOCK_NOT_AVAILABLE:
        return IdempotencyInProgress("another transaction is storing a job with the same idempotency key")
    if state in _UNDEFINED:
        return StorageNotReady("the storage lacks our tables, or has those of another version: run `dataqueue migrate`")
    if state in _REFUSED_US:
        return StorageNotReady(f"the database does not let us in ({state}): check DATAQUEUE_URL and the role's rights")
    broken = error.connection_invalidated or state is None or state.startswith("08") or state in _TRANSIENT
    if broken and (
        isinstance(error, OperationalError | InterfaceError) or state is not None or error.connection_invalidated
    ):
        return StorageUnavailable("the connection to the storage broke", outcome_unknown=state not in _NEVER_RAN)
    return StorageRefused(f"the storage refused a statement ({state}): {type(error.orig).__name__}")
