"""The ends of tokens, in Redis: their time is up, or somebody who ended one was cut off before all had heard of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dataqueue.storage.redis.looking import Looked
from dataqueue.storage.redis.server import Server

LOOKED_AT: Final = ("timeouts", "waking", "loose")
"""Sorted sets to look at before `expire`."""
_AT_ONCE: Final = 50


@dataclass
class Round:
    """What a round has done: how many tokens were timed out, steps heard of an end, and jobs resumed; the types of
    those; and in how many microseconds other tokens are to be timed out."""

    count: int = 0
    heard: int = 0
    resumed: int = 0
    woken: set[str] = field(default_factory=set)
    next_due: list[int] = field(default_factory=list)


async def expire(server: Server, looks: Iterable[Looked], *, limit: int) -> Round:
    """Time tokens out, and finish what others left, in namespaces as they were looked at; so much of it at most."""
    done = Round()
    for one in looks:
        up_at, waking, loose = one.lowest
        if loose is not None:
            # First: what it cuts off is to be timed out at once.
            while await server.run("upkeep/cut_loose", one.namespace):
                pass
        if waking is not None or loose is not None or (up_at is not None and up_at <= one.now):
            await _expire_in(server, one.namespace, limit, done)
        elif up_at is not None:
            done.next_due.append(up_at - one.now)
    return done


async def _expire_in(server: Server, namespace: str, limit: int, done: Round) -> None:
    is_more: object = True
    while is_more and (left := limit - done.count - done.heard) > 0:
        found = await server.run("upkeep/expire_tokens", namespace, min(left, _AT_ONCE))
        count, heard, resumed, is_more, ahead, *types = found
        done.count += count
        done.heard += heard
        done.resumed += resumed
        done.woken.update(types)
        if ahead is not None and not is_more:
            done.next_due.append(ahead)
    if is_more:
        done.next_due.append(0)
