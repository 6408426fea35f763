"""What any process may do at any time, in Redis: for one namespace, or for all of them one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from dataqueue.domain.retention import Retention
from dataqueue.ids import new_id
from dataqueue.storage.answers import Expired, Pruned, Staged
from dataqueue.storage.redis.enqueue import take_up_left_batches
from dataqueue.storage.redis.expiring import LOOKED_AT, expire
from dataqueue.storage.redis.instants import micros
from dataqueue.storage.redis.looking import Looked, look_at
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.pruning import Pruning
from dataqueue.storage.redis.server import Server

_AT_ONCE: Final = 50
"""Jobs that one script moves."""
_MINUTES_KEPT: Final = 120
_SECOND: Final = 1_000_000


class RedisUpkeep:
    """See `storage.port.Upkeep`."""

    def __init__(self, server: Server, namespaces: Namespaces) -> None:
        self._server, self._namespaces = server, namespaces
        self._pruning = Pruning(server, namespaces)

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        looks = await self._look_at(namespace, "due", "batches", *LOOKED_AT)
        found = _lowest_first(looks)
        next_due = [due for _, due in found if due > 0]

        async def stage(name: str, room: int) -> int:
            moved, later = await self._server.run("upkeep/stage", name, room)
            next_due.extend([] if later is None else [later])
            return int(moved)

        count = await _until(limit, [name for name, due in found if due <= 0], stage)
        if count < limit:
            tokens = [replace(one, lowest=one.lowest[2:]) for one in looks]
            ended = await expire(self._server, tokens, limit=limit - count)
            count += ended.resumed
            next_due += ended.next_due
        # Last: a batch that cannot be taken up keeps no due job waiting.
        for one in looks:
            if one.lowest[1] is not None:
                count += await take_up_left_batches(self._server, one.namespace)
        return Staged(count, min(next_due) / _SECOND if next_due else None)

    async def expire_tokens(self, *, limit: int, namespace: str | None = None) -> Expired:
        done = await expire(self._server, await self._look_at(namespace, *LOOKED_AT), limit=limit)
        return Expired(done.count, frozenset(done.woken))

    async def prune_tokens(self, *, keep: timedelta, limit: int, namespace: str | None = None) -> int:
        async def prune(name: str, room: int) -> int:
            return int(await self._server.run("upkeep/prune_tokens", name, micros(keep), room))

        found = _lowest_first(await self._look_at(namespace, "spent"))
        return await _until(limit, [name for name, ended in found if ended < -micros(keep)], prune)

    async def reclaim(self, *, limit: int, max_crashes: int, namespace: str | None = None) -> int:
        async def reclaim(name: str, room: int) -> int:
            dead_letters = [str(new_id()) for _ in range(room)]
            return int(await self._server.run("upkeep/reclaim", name, max_crashes, *dead_letters))

        found = _lowest_first(await self._look_at(namespace, "running"))
        return await _until(limit, [name for name, expires in found if expires < 0], reclaim)

    async def prepare_event_log(self) -> None:
        """There is nothing to prepare: a stream makes its own room."""

    async def prune(self, retention: Retention, *, limit: int, namespace: str | None = None) -> Pruned:
        return await self._pruning.prune(retention, limit=limit, namespace=namespace)

    async def prune_events(self, *, keep: timedelta) -> int:
        return await self._pruning.prune_events(keep)

    async def fold_counts(self, *, limit: int) -> int:
        """There is nothing to fold: what is listed is counted as it is. Minutes that nobody looks at any more are
        forgotten, at most `limit`; nobody has to come back for those soon, so it says 0."""

        async def forget(name: str, room: int) -> int:
            return int(await self._server.run("upkeep/forget_minutes", name, _MINUTES_KEPT, room))

        looks = await self._look_at(None, "minutes")
        kept = {one.namespace: one.now // (60 * _SECOND) - _MINUTES_KEPT for one in looks}
        old = [one.namespace for one in looks if one.lowest[0] is not None and one.lowest[0] < kept[one.namespace]]
        await _until(limit, old, forget)
        return 0

    async def forget_workers(self, *, silent_for: timedelta) -> int:
        found, forgotten = _lowest_first(await self._look_at(None, "workers")), 0
        for name in [name for name, last_beat in found if last_beat < -micros(silent_for)]:
            while gone := int(await self._server.run("workers/forget", name, micros(silent_for))):
                forgotten += gone
        return forgotten

    async def _look_at(self, namespace: str | None, *sets: str) -> list[Looked]:
        names = await self._namespaces.all() if namespace is None else [namespace]
        return await look_at(self._server, names, *sets)


def _lowest_first(looks: Sequence[Looked]) -> list[tuple[str, int]]:
    """Namespaces that have something in the first set that was looked at, of instants, and how far from now the first
    of it is, in microseconds; what has waited longest comes first, so that no namespace waits for a busier one."""
    found = [(one.namespace, one.lowest[0] - one.now) for one in looks if one.lowest[0] is not None]
    return sorted(found, key=lambda one: one[1])


async def _until(limit: int, names: list[str], act: Callable[[str, int], Awaitable[int]]) -> int:
    """Act on namespaces, a piece at a time and each until there is no more, at most on so many things; says on how
    many. `act` is told how many at most, and says how many it were."""
    count = 0
    for name in names:
        done = room = 0
        while done == room and count < limit:
            room = min(limit - count, _AT_ONCE)
            done = await act(name, room)
            count += done
    return count
