"""What has been counted in one namespace, in Redis: the lengths of lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dataqueue.domain.counts import Stats, TagCounts, latency_of
from dataqueue.domain.job import JobStatus
from dataqueue.errors import NotFound
from dataqueue.storage.redis.job_types import counts_of, types_after
from dataqueue.storage.redis.server import Server

_TAGS_AT_ONCE: Final = 200
_HEADS_AT_ONCE: Final = 100
_MOST_HEADS: Final = 1000
_LATENCY: Final = "took:"


class RedisTally:
    """See `storage.port.Tally`. Each count is exact; where there are very many tags or types, they are not all read by
    one script, and what happens between two of them shows."""

    def __init__(self, server: Server, namespace: str) -> None:
        self._server, self._namespace = server, namespace

    async def tags(self, *, prefix: str, after: str | None, limit: int) -> list[TagCounts]:
        found: list[TagCounts] = []
        while len(found) < limit:
            # Texts compare as their bytes in UTF-8 do.
            first = f"[{prefix}" if after is None or after < prefix else f"({after}"
            room = min(limit - len(found), _TAGS_AT_ONCE)
            values = await self._server.run("tally/tags", self._namespace, first, prefix, room)
            for start in range(0, len(values), 7):
                after = values[start]
                found.append(TagCounts(tag=values[start], counts=counts_of(values[start + 1 : start + 7])))
            if len(values) < room * 7:
                break
        return found

    async def tag(self, tag: str) -> TagCounts:
        counts = counts_of(await self._server.run("tally/tag", self._namespace, tag))
        if not any(counts.values()):
            raise NotFound("no job has that tag")
        return TagCounts(tag=tag, counts=counts)

    async def stats(self) -> Stats:
        by_status, lately = await self._server.run("tally/stats", self._namespace)
        many = dict(zip(lately[::2], lately[1::2], strict=True))
        types = await types_after(self._server, self._namespace, None)
        waiting = [one.job_type for one in types if one.counts[JobStatus.PENDING] and not one.settings.paused]
        return Stats(
            by_status=counts_of(by_status),
            by_type={one.job_type: one.counts for one in types if any(one.counts.values())},
            oldest_ready_age=await self._oldest_ready_age(waiting),
            added=many.get("added", 0),
            completed=many.get("completed", 0),
            failed=many.get("failed", 0),
            latency=latency_of(
                {int(field.removeprefix(_LATENCY)): n for field, n in many.items() if field.startswith(_LATENCY)}
            ),
        )

    async def _oldest_ready_age(self, job_types: Sequence[str]) -> float | None:
        """Of more than `_MOST_HEADS` types and ranks, the first are looked at, high ranks first."""
        queue = [value for job_type in job_types for value in (job_type, "-inf")]
        oldest: list[int] = []
        left, now = _MOST_HEADS, 0
        while queue and left > 0:
            asked, queue = queue[: 2 * _HEADS_AT_ONCE], queue[2 * _HEADS_AT_ONCE :]
            at, since, looked_at, *going_on = await self._server.run(
                "tally/oldest_ready", self._namespace, min(left, _HEADS_AT_ONCE), *asked
            )
            queue += going_on
            left, now = left - looked_at, int(at)
            if since:
                oldest.append(int(since))
        return (now - min(oldest)) / 1e6 if oldest else None
