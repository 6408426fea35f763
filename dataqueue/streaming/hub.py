"""The one reader of the event log in a process, for all who follow it there."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Generic, TypeVar

import structlog

from dataqueue.domain.events import Event, EventFilter
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.answers import Look
from dataqueue.storage.port import EventTail, Storage
from dataqueue.streaming.subscriptions import Subscription, SubscriptionIndex

log = structlog.get_logger(__name__)

T = TypeVar("T")
_MOST_AT_ONCE: Final = 1000
_LEAST_PAUSE: Final = 0.005
"""However often it is nudged."""
_WHILE_BUSY: Final = 0.02
_WHILE_QUIET: Final = 1.0
_GROWTH: Final = 1.5
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.25
"""For transactions that are open: ours take milliseconds, others may take minutes."""
_FIRST_RETRY, _LAST_RETRY = 0.1, 2.0


class EventHub(Generic[T]):
    """Looks at the end of the log while somebody follows it, and hands each event, encoded once, to whom it concerns.

    It looks at once when nudged, often while there is something, and once a second when there is nothing.
    """

    def __init__(self, storage: Storage, *, encode: Callable[[Event], T]) -> None:
        self._storage, self._encode = storage, encode
        self._tail: EventTail = storage.tail()
        self._index: SubscriptionIndex[T] = SubscriptionIndex()
        self._followers: Counter[str] = Counter()
        self._frontiers: dict[str, int] = {}
        self._wanted, self._nudged = asyncio.Event(), asyncio.Event()
        self._looked = asyncio.Condition()
        # Looks, counted: the last begun, the last whose view of the end was told in full, the one somebody waits for.
        self._begun = self._settled = self._asked = 0
        self._waiting_for: int | None = None
        self._waiting_since: float | None = None
        self.events_told = self.cut_off = 0

    @property
    def followers(self) -> int:
        """Streams there are."""
        return self._followers.total()

    @property
    def delay(self) -> float:
        """For how long now, in seconds, the newest events have been held back by a transaction that is still open."""
        since = self._waiting_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def frontier(self, namespace: str) -> int | None:
        """The position up to which everything has been told; None: not known yet. Only for who is `following`."""
        return self._frontiers.get(namespace)

    @contextmanager
    def following(self, namespace: str) -> Iterator[None]:
        """While somebody follows a namespace, its log is looked at."""
        self._followers[namespace] += 1
        self._wanted.set()
        self._nudged.set()
        try:
            yield
        finally:
            self._followers[namespace] -= 1
            if not self._followers[namespace]:
                del self._followers[namespace]
                self._frontiers.pop(namespace, None)
            if not self._followers:
                self._wanted.clear()

    async def caught_up(self, namespace: str, *, within: float) -> bool:
        """Wait until a look that began after now has told everything there was; False when that takes too long."""
        target = self._asked = self._begun + 1
        self._nudged.set()
        return await self._sees(lambda: self._settled >= target and namespace in self._frontiers, within)

    async def knows(self, namespace: str, *, within: float) -> bool:
        """Wait until there is a frontier; False when that takes too long."""
        return await self._sees(lambda: namespace in self._frontiers, within)

    def subscribe(self, namespace: str, matching: EventFilter, *, after: int) -> Subscription[T]:
        """Be told of what comes after a position that is not before the frontier."""
        subscription: Subscription[T] = Subscription(namespace, matching, after=after)
        self._index.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        self._index.remove(subscription)

    def nudge(self) -> None:
        """Look now: something has happened somewhere."""
        self._nudged.set()

    async def run(self) -> None:
        """Look for ever."""
        pause, failures = _WHILE_BUSY, 0
        while True:
            await self._wanted.wait()
            self._nudged.clear()
            try:
                look = await self.tick()
            # The loop that drives it outlives whatever it meets.
            except Exception as error:
                failures += 1
                if failures == 1:
                    unforeseen = None if isinstance(error, StorageUnavailable) else error
                    log.warning("events.not_read", error=str(error), exc_info=unforeseen)
                await asyncio.sleep(min(_FIRST_RETRY * 2.0**failures, _LAST_RETRY) * random.uniform(0.5, 1))
                continue
            if failures:
                failures = 0
                log.info("events.read_again")
            if look.more:
                continue
            if look.waits:
                # A nudge changes nothing: what is waited for is that others end.
                await asyncio.sleep(min(_FIRST_WAIT + self.delay / 10, _LONGEST_WAIT))
                continue
            pause = _WHILE_BUSY if look.events else min(pause * _GROWTH, _WHILE_QUIET)
            await asyncio.sleep(_LEAST_PAUSE)
            if self._settled >= self._asked:
                await self._nudge_or(pause)

    async def tick(self) -> Look:
        """Look once, and tell."""
        self._begun += 1
        begun = self._begun
        look = await self._tail.look(tuple(self._followers), limit=_MOST_AT_ONCE)
        for event in look.events:
            self._tell(event)
        for namespace, frontier in look.frontiers.items():
            self._advance(namespace, frontier)
        if look.waits:
            self._waiting_for = self._waiting_for or begun
            self._waiting_since = self._waiting_since or asyncio.get_running_loop().time()
        elif not look.more:
            # What was waited for is the end as it was when the waiting began.
            self._settled, self._waiting_for, self._waiting_since = self._waiting_for or begun, None, None
        async with self._looked:
            self._looked.notify_all()
        return look

    def _tell(self, event: Event) -> None:
        encoded: T | None = None
        for subscription in self._index.hit_by(event):
            if encoded is None:
                encoded = self._encode(event)
                self.events_told += 1
            was_cut = subscription.is_cut
            subscription.put(event.id, encoded)
            self.cut_off += subscription.is_cut and not was_cut

    def _advance(self, namespace: str, frontier: int) -> None:
        if namespace not in self._followers:
            return
        if frontier < self._frontiers.get(namespace, frontier):
            log.warning("events.log_went_back", namespace=namespace)
            for subscription in self._index.of(namespace):
                subscription.cut()
        self._frontiers[namespace] = frontier

    async def _nudge_or(self, pause: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._nudged.wait()

    async def _sees(self, condition: Callable[[], bool], within: float) -> bool:
        try:
            async with asyncio.timeout(within), self._looked:
                return await self._looked.wait_for(condition)
        except TimeoutError:
            return False
