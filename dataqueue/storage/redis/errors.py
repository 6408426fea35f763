"""What the driver raises, in the queue's own words: the one table of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterError,
    ConnectionError,  # noqa: A004 - the driver's
    MaxConnectionsError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004 - the driver's
)

from dataqueue.errors import DataQueueError, StorageNotReady, StorageRefused, StorageUnavailable

_RIGHTS: Final = "Redis does not let us in: check user, password and rights in DATAQUEUE_URL"
_CLUSTER: Final = "this Redis is one node of a cluster: DATAQUEUE_URL must begin with redis+cluster://"
_NOT_READY: Final = {
    "NOAUTH": _RIGHTS,
    "NOPERM": _RIGHTS,
    "WRONGPASS": _RIGHTS,
    "MOVED": _CLUSTER,
}
_CANNOT_NOW: Final = {
    "ASK": "Redis is moving our keys to another node",
    "BUSY": "Redis is busy with a script of somebody else",
    "CLUSTERDOWN": "the Redis cluster is not whole",
    "LOADING": "Redis is still loading its data",
    "MASTERDOWN": "this Redis is a replica, and has lost its primary",
    "MISCONF": "Redis cannot write its data to disk, and refuses to go on",
    "NOREPLICAS": "Redis has fewer replicas than it is to have, and refuses to go on",
    "OOM": "Redis is out of memory, and refuses what would take more",
    "READONLY": "this Redis is a replica, or has just become one",
    "TRYAGAIN": "Redis is moving our keys to another node",
}
"""Refused before anything was written. A script that has begun to write is not refused memory or the like half-way."""
_WITHIN_A_SCRIPT: Final = re.compile(r"@user_script: ?\d+: -([A-Z]+) ")
"""Where 6.2 says in an error of a script what was wrong with its command."""
_UNREACHABLE: Final = (ConnectionError, TimeoutError, RedisClusterException, OSError)


@contextmanager
def translated(*, ran: bool = True) -> Iterator[None]:
    """Errors of the driver inside the block leave it as ours. `ran`: a script may have reached the server."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        # What goes wrong with the first words of a connection comes wrapped.
        inner = error.__cause__
        raise meaning_of(inner if isinstance(inner, RedisError) else error, ran=ran) from error


def meaning_of(error: Exception, *, ran: bool = True) -> DataQueueError:
    """An error of the driver as ours."""
    word = word_of(error)
    if word in _NOT_READY:
        return StorageNotReady(_NOT_READY[word])
    if word in _CANNOT_NOW:
        return StorageUnavailable(_CANNOT_NOW[word])
    match error:
        case AuthenticationError() | AuthorizationError():
            return StorageNotReady(_RIGHTS)
        case ClusterError():
            # Sent from one node to the other until the driver gave up: none of them did anything.
            return StorageUnavailable(_CANNOT_NOW["ASK"])
        case MaxConnectionsError() | SlotNotCoveredError():
            return StorageUnavailable(f"Redis cannot serve now: {type(error).__name__}")
        case ResponseError():
            # Of the data it says nothing: an error may quote what was sent.
            return StorageRefused(f"Redis refused a script: {type(error).__name__} {word}")
        case _ if isinstance(error, _UNREACHABLE):
            what = "the connection to Redis broke" if ran else f"cannot reach Redis: {_why(error)}"
            return StorageUnavailable(what, outcome_unknown=ran)
    return StorageRefused(f"Redis refused a script: {type(error).__name__}")


def word_of(error: Exception) -> str:
    """The word by which Redis says what kind of error it is."""
    text = str(error)
    if found := _WITHIN_A_SCRIPT.search(text):
        return found[1]
    return getattr(error, "status_code", None) or text.split(" ", 1)[0]


def _why(error: BaseException) -> str:
    """The system's words for it, if it had any; the driver's may quote the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
