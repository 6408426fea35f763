"""Who is to be told of which event, found without asking everybody."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Generic, TypeAlias, TypeVar

from dataqueue.domain.events import Event, EventFilter
from dataqueue.domain.filters import TagMode

MOST_WAITING: Final = 1000
"""Events that may wait for one subscriber."""
MOST_BYTES: Final = 1 << 20
"""What they may come to, where they are bytes."""

T = TypeVar("T")
_Key: TypeAlias = tuple[object, ...]


class Subscription(Generic[T]):
    """What waits for one subscriber, in order. Who does not take it in time is cut off, and told so."""

    def __init__(
        self, namespace: str, matching: EventFilter, *, after: int, on_cut: Callable[[], None] | None = None
    ) -> None:
        self.namespace, self.matching, self.after = namespace, matching, after
        self._on_cut = on_cut
        self.is_cut = False
        self._waiting: list[T] = []
        self._size = 0
        self._woken = asyncio.Event()

    def put(self, position: int, item: T) -> None:
        """Have an event wait. One that the subscriber had before, from another process, is passed over."""
        if position <= self.after or self.is_cut:
            return
        self.after = position
        self._waiting.append(item)
        if isinstance(item, bytes):
            self._size += len(item)
        if len(self._waiting) > MOST_WAITING or self._size > MOST_BYTES:
            self.cut()
        self._woken.set()

    def cut(self) -> None:
        """Let what waits go: the subscriber is to begin again where it was."""
        self.is_cut = True
        self._waiting.clear()
        self._woken.set()
        if self._on_cut is not None:
            self._on_cut()

    async def take(self, *, within: float) -> list[T]:
        """What waits, as soon as there is something; nothing when the time is up, or the subscriber was cut off."""
        if not self._woken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._woken.wait()
        self._woken.clear()
        taken, self._waiting, self._size = self._waiting, [], 0
        return taken


class SubscriptionIndex(Generic[T]):
    """Subscriptions under the narrowest thing each asks for: an event costs what it hits, however many there are."""

    def __init__(self) -> None:
        self._under: defaultdict[_Key, dict[Subscription[T], None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len({one for under in self._under.values() for one in under})

    def add(self, subscription: Subscription[T]) -> None:
        for key in _keys_of(subscription.namespace, subscription.matching):
            self._under[key][subscription] = None

    def remove(self, subscription: Subscription[T]) -> None:
        for key in _keys_of(subscription.namespace, subscription.matching):
            under = self._under[key]
            under.pop(subscription, None)
            if not under:
                del self._under[key]

    def hit_by(self, event: Event) -> Iterator[Subscription[T]]:
        """Each subscription that asks for the event, once."""
        namespace = event.namespace
        keys: list[_Key] = [
            (namespace,),
            (namespace, "job", event.job_id),
            (namespace, "type", event.job_type),
            (namespace, "event", event.event),
        ]
        keys += [(namespace, "tag", tag) for tag in event.tags]
        seen: set[Subscription[T]] = set()
        for key in keys:
            for subscription in self._under.get(key, ()):
                if subscription.matching.matches(event) and subscription not in seen:
                    seen.add(subscription)
                    yield subscription

    def of(self, *namespaces: str) -> list[Subscription[T]]:
        """All of some namespaces."""
        return list({one: None for under in self._under.values() for one in under if one.namespace in namespaces})


def _keys_of(namespace: str, matching: EventFilter) -> list[_Key]:
    """Where a filter is looked for. Whatever matches it comes by at least one of them."""
    if matching.job_ids:
        return [(namespace, "job", job_id) for job_id in set(matching.job_ids)]
    if matching.tags and matching.tag_mode is TagMode.ANY:
        return [(namespace, "tag", tag) for tag in set(matching.tags)]
    if matching.tags and matching.tag_mode is not TagMode.NONE:
        return [(namespace, "tag", matching.tags[0])]
    if matching.job_types:
        return [(namespace, "type", job_type) for job_type in set(matching.job_types)]
    if matching.events:
        return [(namespace, "event", event) for event in set(matching.events)]
    return [(namespace,)]
