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
from dataqueue.errors import DataQueueError
from dataqueue.storage.answers import Look
from dataqueue.storage.port import EventTail, Storage
from dataqueue.streaming.subscriptions import Subscription, SubscriptionIndex

log = structlog.get_logger(__name__)

T = TypeVar("T")
_MOST_AT_ONCE: Final = 1000
_IN_ONE_BREATH: Final = 50
"""Events told before those they concern may take them. To a thousand streams that takes some 15 ms."""
_BYTES_IN_ONE_BREATH: Final = 256 << 10
"""A quarter of what may wait for a subscriber: who is quick is never cut off, however large events are."""
_LEAST_PAUSE: Final = 0.005
"""However often it is nudged."""
_WHILE_BUSY: Final = 0.02
_WHILE_QUIET: Final = 1.0
_AT_REST: Final = 30.0
_GROWTH: Final = 1.5
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.25
"""For transactions that are open: ours take milliseconds, others may take minutes."""
_FIRST_RETRY, _LAST_RETRY, _LARGEST_EXPONENT = 0.1, 2.0, 10


class EventHub(Generic[T]):
    """Looks at the end of the log while somebody follows it, and hands each event, encoded once, to whom it concerns.

    It looks at once when nudged, often while there is something, and once a second when there is nothing. While nobody
    follows it moves its frontier on twice a minute, so that whoever comes does not begin long ago.
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
        # The first since then. One that has more, waits or fails may have read the end, and those after it go by that.
        self._unsettled: int | None = None
        self._waiting_since: float | None = None
        self.events_told = self.cut_off = 0

    @property
    def followers(self) -> int:
        """Streams there are."""
        return self._followers.total()

    @property
    def delay(self) -> float:
        """For how long now, in seconds, the newest events have been held back by a transaction that is still open.

        0 while nobody follows: then it is looked at too seldom to know.
        """
        since = self._waiting_since
        return 0.0 if since is None or not self._followers else asyncio.get_running_loop().time() - since

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

    def subscribe(
        self, namespace: str, matching: EventFilter, *, after: int, on_cut: Callable[[], None] | None = None
    ) -> Subscription[T]:
        """Be told of what comes after a position that is not before the frontier."""
        subscription: Subscription[T] = Subscription(namespace, matching, after=after, on_cut=on_cut)
        self._index.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        self._index.remove(subscription)

    def nudge(self) -> None:
        """Look now: something has happened somewhere."""
        self._nudged.set()

    async def run(self) -> None:
        """Look for ever."""
        pause, failures, has_rested = _WHILE_BUSY, 0, True
        while True:
            if not self._wanted.is_set():
                await _happens(self._wanted, within=_AT_REST)
                has_rested = True
            self._nudged.clear()
            try:
                if has_rested:
                    await self._pass_over()
                if not self._wanted.is_set():
                    continue
                has_rested = False
                look = await self.tick()
            # The loop that drives it outlives whatever it meets.
            except Exception as error:
                failures += 1
                if failures == 1:
                    unforeseen = None if isinstance(error, DataQueueError) else error
                    log.warning("events.not_read", error=str(error), exc_info=unforeseen)
                await asyncio.sleep(
                    min(_FIRST_RETRY * 2.0 ** min(failures, _LARGEST_EXPONENT), _LAST_RETRY) * random.uniform(0.5, 1)
                )
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
                await _happens(self._nudged, within=pause)

    async def tick(self) -> Look:
        """Look once, and tell."""
        look = await self._look(tuple(self._followers))
        try:
            await self._tell_all(look)
        except Exception:
            # The tail has moved on, and does not say it again: they are to begin again where they are.
            for subscription in self._index.of(*look.frontiers):
                subscription.cut()
            raise
        finally:
            for namespace, frontier in look.frontiers.items():
                self._advance(namespace, frontier)
        self._settle(look)
        async with self._looked:
            self._looked.notify_all()
        return look

    async def _pass_over(self) -> None:
        """Have the tail forget who followed before nobody did: what happened meanwhile is told to nobody."""
        self._settle(await self._look(()))

    async def _look(self, namespaces: tuple[str, ...]) -> Look:
        self._begun += 1
        self._unsettled = self._unsettled or self._begun
        return await self._tail.look(namespaces, limit=_MOST_AT_ONCE)

    def _settle(self, look: Look) -> None:
        if look.waits:
            self._waiting_since = self._waiting_since or asyncio.get_running_loop().time()
        elif not look.more:
            self._settled, self._unsettled, self._waiting_since = self._unsettled or self._begun, None, None

    async def _tell_all(self, look: Look) -> None:
        told = size = 0
        reached: dict[str, int] = {}
        for event in look.events:
            size += self._tell(event)
            told += 1
            reached[event.namespace] = event.id
            if told >= _IN_ONE_BREATH or size >= _BYTES_IN_ONE_BREATH:
                told = size = 0
                # Whoever subscribes in between begins here; the positions of one namespace mean nothing in another.
                for namespace in self._frontiers.keys() & reached.keys():
                    self._frontiers[namespace] = reached[namespace]
                await asyncio.sleep(0)

    def _tell(self, event: Event) -> int:
        """Tell whom it concerns; how many bytes that was to each."""
        encoded: T | None = None
        for subscription in self._index.hit_by(event):
            if encoded is None:
                encoded = self._encode(event)
                self.events_told += 1
            was_cut = subscription.is_cut
            subscription.put(event.id, encoded)
            self.cut_off += subscription.is_cut and not was_cut
        return len(encoded) if isinstance(encoded, bytes) else 0

    def _advance(self, namespace: str, frontier: int) -> None:
        if namespace not in self._followers:
            return
        if frontier < self._frontiers.get(namespace, frontier):
            log.warning("events.log_went_back", namespace=namespace)
            for subscription in self._index.of(namespace):
                subscription.cut()
        self._frontiers[namespace] = frontier

    async def _sees(self, condition: Callable[[], bool], within: float) -> bool:
        try:
            async with asyncio.timeout(within), self._looked:
                return await self._looked.wait_for(condition)
        except TimeoutError:
            return False


async def _happens(event: asyncio.Event, *, within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
