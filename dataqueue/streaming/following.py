"""One follower's way through the log: first what it has missed, then what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from dataqueue.domain.events import Event, EventFilter
from dataqueue.errors import PositionExpired
from dataqueue.storage.port import EventLog
from dataqueue.streaming.hub import EventHub

_PAGE: Final = 500
FRESH_WITHIN: Final = 1.0
"""Seconds to wait for the newest events where a transaction may hold them back."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """Events that match, and the position up to which there are no others. Without events: a sign of life."""

    items: list[T]
    position: int


class FellBehind(Exception):
    """The follower took too long with what it was given. It may begin again after its last delivery."""


async def position_now(hub: EventHub[T], events: EventLog, namespace: str) -> int:
    """Where following begins for who wants only what happens from now on; within `hub.following`.

    While somebody's transaction keeps the log from being read to its end, that is as far as it could be read: what
    happened since then is told too. Where it was never read, it is the end as it was drawn.
    """
    await hub.caught_up(namespace, within=FRESH_WITHIN)
    frontier = hub.frontier(namespace)
    return (await events.bounds()).newest if frontier is None else frontier


async def check_position(hub: EventHub[T], events: EventLog, namespace: str, position: int) -> None:
    """PositionExpired unless everything after a position can still be had, and somebody was given it."""
    frontier = hub.frontier(namespace)
    bounds = await events.bounds()
    if bounds.has_lost(position):
        raise PositionExpired("what came after this position is not kept any more: begin with after=start or after=now")
    if position > bounds.newest and position > (frontier or 0):
        raise PositionExpired("the log does not reach that far: begin with after=start or after=now")


async def follow(
    hub: EventHub[T],
    events: EventLog,
    namespace: str,
    matching: EventFilter,
    *,
    after: int,
    encode: Callable[[Event], T],
    quiet: float,
    on_cut: Callable[[], None] | None = None,
) -> AsyncGenerator[Delivery[T]]:
    """Deliver what matches after a position: what is in the log, then what comes, nothing missed and nothing twice.

    Every `quiet` seconds without an event there is an empty delivery. Within `hub.following`, and to be closed. Raises
    FellBehind (`on_cut` is told at that moment, when one may be busy with the last delivery), and PositionExpired when
    the log is cut off faster than it is read.
    """
    now = asyncio.get_running_loop().time
    position, furthest, delivered_at = after, 0, now()
    while True:
        frontier = hub.frontier(namespace)
        if frontier is None:
            if not await hub.knows(namespace, within=quiet):
                yield Delivery([], position)
            continue
        if frontier < furthest:
            raise FellBehind  # it is the log that went back, behind where this one may be
        furthest = frontier
        if position >= frontier:
            break
        page = await events.page(matching, after=position, until=frontier, limit=_PAGE)
        position = page.position
        if page.events or now() - delivered_at >= quiet:
            yield Delivery([encode(event) for event in page.events], position)
            delivered_at = now()
    # Nothing is awaited between the last look at the frontier and this, so nothing is told in between.
    subscription = hub.subscribe(namespace, matching, after=position, on_cut=on_cut)
    try:
        while True:
            items = await subscription.take(within=quiet)
            if subscription.is_cut:
                raise FellBehind
            if not items:
                # All that was told before has been taken.
                position = max(subscription.after, hub.frontier(namespace) or 0)
            yield Delivery(items, subscription.after if items else position)
    finally:
        hub.unsubscribe(subscription)
