"""Of the server's errors some would come again with the same data; all others are its trouble, which passes."""

from __future__ import annotations

import asyncpg
import pytest

from dataqueue.errors import StorageRefused, StorageUnavailable
from dataqueue.storage.postgres.errors import translated

TROUBLES = [
    asyncpg.QueryCanceledError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.exceptions.PostgresIOError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalServerError,
    asyncpg.AdminShutdownError,
    asyncpg.ConnectionDoesNotExistError,
]
NEVER_RAN = [asyncpg.TooManyConnectionsError, asyncpg.ReadOnlySQLTransactionError, asyncpg.DeadlockDetectedError]
OF_THE_DATA = [
    asyncpg.UntranslatableCharacterError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.CheckViolationError,
    asyncpg.CardinalityViolationError,
    asyncpg.DatatypeMismatchError,
    asyncpg.ProgramLimitExceededError,
]


@pytest.mark.parametrize("error", TROUBLES)
def test_the_servers_trouble_is_an_outage_of_unknown_outcome(error: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(StorageUnavailable) as told, translated():
        raise error("no")
    assert told.value.outcome_unknown


@pytest.mark.parametrize("error", NEVER_RAN)
def test_what_never_ran_has_a_known_outcome(error: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(StorageUnavailable) as told, translated():
        raise error("no")
    assert not told.value.outcome_unknown


@pytest.mark.parametrize("error", OF_THE_DATA)
def test_what_the_data_is_to_blame_for_is_refused(error: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(StorageRefused), translated():
        raise error("no")
