"""The end of the logs in Redis, as they grow."""

from __future__ import annotations

from collections.abc import Collection

from dataqueue.domain.events import Event
from dataqueue.storage.answers import Look
from dataqueue.storage.redis.rows import event_of
from dataqueue.storage.redis.server import Server


class RedisEventTail:
    """See `storage.port.EventTail`. Each namespace has a log of its own, and in it nothing is ever unfinished: scripts
    run one after the other. So there is nothing to wait for, and a look is one round trip."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._at: dict[str, int] = {}

    async def look(self, namespaces: Collection[str], *, limit: int) -> Look:
        earlier = {name: at for name, at in self._at.items() if name in namespaces}
        names = [*earlier, *(name for name in namespaces if name not in earlier)]
        # Where there are more than events may be told, those that were not looked at are the first the next time.
        now, later = names[:limit], names[limit:]
        share = limit // len(now) if now else 0
        answers = await self._server.run_each("events/look", [(name, (earlier.get(name, ""), share)) for name in now])
        events: list[Event] = []
        frontiers: dict[str, int] = {}
        more = bool(later)
        for name, (last, told_to, entries) in zip(now, answers, strict=True):
            events += [event_of(entry, name) for entry in entries]
            frontiers[name] = int(told_to or last)
            more = more or told_to is not None
        events.sort(key=lambda event: event.id)
        self._at = {name: earlier[name] for name in later if name in earlier} | frontiers
        return Look(events, frontiers, more=more, waits=False)
