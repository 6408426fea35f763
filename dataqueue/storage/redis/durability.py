"""Whether a server can be trusted with jobs, as it tells of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dataqueue.errors import StorageNotReady, StorageUnavailable

_OLDEST: Final = (6, 2)


def told_by(reply: Any) -> dict[str, str]:
    """The reply to INFO by name; a client of a cluster has parsed it already."""
    if isinstance(reply, Mapping):
        return {str(name): str(value) for name, value in reply.items()}
    lines = (line.partition(":") for line in str(reply).splitlines())
    return {name: value.strip() for name, separator, value in lines if separator}


def insist_on_serving(info: Mapping[str, str]) -> None:
    """StorageNotReady: it is too old, or a replica. StorageUnavailable: it is not there yet."""
    version = info.get("redis_version", "")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers and numbers < _OLDEST:
        raise StorageNotReady(f"this is Redis {version}: we need 6.2 or later")
    if info.get("role") == "slave":
        raise StorageNotReady("this Redis is a replica: point DATAQUEUE_URL at the primary")
    if info.get("loading", "0") != "0":
        raise StorageUnavailable("Redis is still loading its data")


def risks(info: Mapping[str, str]) -> Iterator[str]:
    """What may make it lose jobs that it has accepted."""
    if info.get("aof_enabled", "0") == "0" and info.get("connected_slaves", "0") == "0":
        yield (
            "Redis has neither an append-only file nor a replica: when it stops, it loses what it accepted since its"
            " last snapshot, if it makes any. Set `appendonly yes`."
        )
    if (policy := info.get("maxmemory_policy", "noeviction")) != "noeviction":
        yield (
            f"Redis has maxmemory-policy {policy}: when memory runs short, it may throw jobs away."
            " Set `maxmemory-policy noeviction`."
        )
