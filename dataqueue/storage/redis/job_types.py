"""The job types of one namespace in Redis, and what is set for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from dataqueue.domain.counts import Counts, JobType, JobTypeSettings
from dataqueue.domain.job import JobStatus
from dataqueue.errors import NotFound
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.server import Server, Value

_AT_ONCE: Final = 200
_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "max_attempts": int,
    "timeout_ms": int,
    "retry_delay": float,
    "retry_backoff": lambda text: text == "1",
    "retry_delay_max": float,
}
"""What is set besides the pause, and how it is read."""


class RedisJobTypeStore:
    """See `storage.port.JobTypeStore`."""

    def __init__(self, server: Server, namespaces: Namespaces, namespace: str) -> None:
        self._server, self._namespaces, self._namespace = server, namespaces, namespace

    async def page(self, *, after: str | None, limit: int) -> list[JobType]:
        return await types_after(self._server, self._namespace, after, limit=limit)

    async def get(self, job_type: str) -> JobType:
        found = await self._server.run("job_types/get", self._namespace, job_type)
        if not found:
            raise NotFound("no such job type")
        return _job_type_of(found[0])

    async def put(self, job_type: str, settings: JobTypeSettings) -> None:
        await self._set("put", job_type, settings.paused, *_options_of(settings))

    async def pause(self, job_type: str, *, paused: bool) -> None:
        await self._set("pause", job_type, paused)

    async def _set(self, verb: str, job_type: str, paused: bool, *options: Value) -> None:
        if not await self._namespaces.exists(self._namespace):
            raise NotFound(f"no namespace {self._namespace!r}")
        await self._server.run(f"job_types/{verb}", self._namespace, job_type, "paused" if paused else "", *options)


async def types_after(server: Server, namespace: str, after: str | None, *, limit: int | None = None) -> list[JobType]:
    """Types by name, those after a name; all of them where there is no limit."""
    found: list[JobType] = []
    while limit is None or len(found) < limit:
        room = _AT_ONCE if limit is None else min(limit - len(found), _AT_ONCE)
        rows = await server.run("job_types/page", namespace, "-" if after is None else f"({after}", room)
        found += map(_job_type_of, rows)
        if len(rows) < room:
            break
        after = found[-1].job_type
    return found


def counts_of(numbers: Sequence[int]) -> Counts:
    """Counts, a number for each status."""
    return dict(zip(JobStatus, numbers, strict=True))


def _job_type_of(found: Sequence[Any]) -> JobType:
    """What `lua/lib/job_types.lua` returns of a type."""
    job_type, paused, pairs, numbers = found
    given = dict(zip(pairs[::2], pairs[1::2], strict=True))
    options = {name: read(given[name]) for name, read in _OPTIONS.items() if name in given}
    return JobType(
        job_type=job_type, settings=JobTypeSettings(paused=bool(paused), **options), counts=counts_of(numbers)
    )


def _options_of(settings: JobTypeSettings) -> list[Value]:
    """The settings that are made, names and values by turns."""
    made: list[Value] = []
    for name, value in asdict(settings).items():
        if name in _OPTIONS and value is not None:
            made += [name, int(value) if isinstance(value, bool) else repr(value)]
    return made
