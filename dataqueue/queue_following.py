"""How a program follows what happens to jobs, whoever does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Literal

from dataqueue.domain.events import EVERYTHING, Event, EventFilter
from dataqueue.errors import Invalid
from dataqueue.storage.port import Storage
from dataqueue.streaming.following import FellBehind, check_position, follow, position_now
from dataqueue.streaming.hub import EventHub

_QUIET: Final = 60.0


class QueueFollowing:
    """The part of a `Queue` that tells what happens anywhere; `QueueListening` tells what it does itself."""

    namespace: str
    _storage: Storage
    _follower: _Follower | None = None

    async def events(
        self, matching: EventFilter = EVERYTHING, *, after: int | Literal["now", "start"] = "now"
    ) -> AsyncGenerator[Event]:
        """What happens to the jobs of the namespace, in this process or another, for as long as one iterates.

        Nothing is missed and nothing comes twice, in the order in which it happened to each job. `after`: the `id` of
        the last event one had, `now`, or `start`, the oldest that is kept. However slowly one iterates, nothing is
        lost before it is too old to be kept: then PositionExpired. An event is told once nothing can come before it
        any more, so a transaction that anybody holds open delays it.

        Its connections are the queue's. Leave it early with `contextlib.aclosing`.
        """
        if isinstance(after, bool) or not (after in ("now", "start") or (isinstance(after, int) and after >= 0)):
            raise Invalid("must be the id of an event, 'now' or 'start'", loc=("after",))
        if self._follower is None:
            self._follower = _Follower(self._storage)
        hub, log, namespace = self._follower.hub, self._storage.events(self.namespace), self.namespace
        with hub.following(namespace):
            match after:
                case "now":
                    position = await position_now(hub, log, namespace)
                case "start":
                    position = (await log.bounds()).oldest
                case _:
                    position = after
                    await check_position(hub, log, namespace, position)
            while True:
                deliveries = follow(hub, log, namespace, matching, after=position, encode=_as_it_is, quiet=_QUIET)
                try:
                    async with aclosing(deliveries):
                        async for delivery in deliveries:
                            for event in delivery.items:
                                yield event
                                position = event.id
                            position = delivery.position
                except FellBehind:
                    # What it could not keep up with is in the log, unless that is another one now.
                    await check_position(hub, log, namespace, position)

    async def _stop_following(self) -> None:
        if self._follower is not None:
            await self._follower.close()


class _Follower:
    """The hub of a queue, which runs, nudged by hints, from its first follower to the queue's end."""

    def __init__(self, storage: Storage) -> None:
        self.hub: EventHub[Event] = EventHub(storage, encode=_as_it_is)
        self._storage = storage
        self._tasks = [asyncio.create_task(self.hub.run()), asyncio.create_task(self._be_nudged())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _be_nudged(self) -> None:
        async with self._storage.notifier.listen() as hints:
            async for _ in hints:
                self.hub.nudge()


def _as_it_is(event: Event) -> Event:
    return event
