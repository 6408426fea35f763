"""What has been counted in one namespace, in PostgreSQL: what was folded and what was not, by one snapshot."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import orjson

from dataqueue.domain.counts import Counts, Stats, TagCounts, latency_of
from dataqueue.domain.job import JobStatus
from dataqueue.errors import NotFound
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.namespaces import Namespaces


class PostgresTally:
    """See `storage.port.Tally`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace

    async def tags(self, *, prefix: str, after: str | None, limit: int) -> list[TagCounts]:
        rows = await self._database.run(
            "tally/tags",
            namespace_id=await self._namespaces.id_of(self._namespace),
            first=prefix,
            beyond=beyond(prefix),
            after=after,
            limit=limit,
        )
        return [TagCounts(tag=row.tag, counts=counts_of(row)) for row in rows]

    async def tag(self, tag: str) -> TagCounts:
        namespace_id = await self._namespaces.id_of(self._namespace)
        rows = await self._database.run("tally/tag", namespace_id=namespace_id, tag=tag)
        if not rows:
            raise NotFound("no job has that tag")
        return TagCounts(tag=tag, counts=counts_of(rows[0]))

    async def stats(self) -> Stats:
        [row] = await self._database.run("tally/stats", namespace_id=await self._namespaces.id_of(self._namespace))
        by_type = {name: counts_of(counts) for name, counts in orjson.loads(row.by_type or "{}").items()}
        lately: list[tuple[str, int, int]] = orjson.loads(row.last_hour or "[]")
        many = {what: sum(n for kind, _, n in lately if kind == what) for what in ("added", "completed", "failed")}
        return Stats(
            by_status={status: sum(counts[status] for counts in by_type.values()) for status in JobStatus},
            # Those without a name are jobs that are not admitted yet.
            by_type={name: counts for name, counts in by_type.items() if name},
            oldest_ready_age=row.oldest_ready_age,
            latency=latency_of({bucket: n for kind, bucket, n in lately if kind == "completed"}),
            **many,
        )


def counts_of(columns: Row | Mapping[str, int]) -> Counts:
    """Counts, which have a column for each status."""
    return {status: columns[status.value] for status in JobStatus}


def beyond(prefix: str) -> str | None:
    """The first text, by code points, after all that start so; None when nothing comes after them."""
    for end in range(len(prefix), 0, -1):
        if (last := ord(prefix[end - 1])) < sys.maxunicode:
            # Surrogates are no characters, and no text of a database has one.
            return prefix[: end - 1] + chr(0xE000 if last == 0xD7FF else last + 1)
    return None
