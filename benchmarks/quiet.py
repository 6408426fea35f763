"""Rounds that count: those in which nobody else used the machine much."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar

from benchmarks.ground import Ground
from benchmarks.processes import cpu_seconds, machine_cpu_seconds, say

_QUIET: Final = 0.08
"""Share of all cores that strangers may use in a round; the kernel's own work is in it."""
_MOST: Final = 3

T = TypeVar("T")


class _Round(NamedTuple):
    strangers: float
    number: int


async def quiet_rounds(ground: Ground, play: Callable[[], Awaitable[T]], *, wanted: int) -> list[T]:
    """Play until `wanted` rounds were quiet, or three times as often; the quietest `wanted`, in order."""
    played: dict[_Round, T] = {}
    while len(played) < wanted * _MOST and sum(each.strangers < _QUIET for each in played) < wanted:
        before, ours = machine_cpu_seconds(), _ours(ground)
        result = await play()
        after, ours = machine_cpu_seconds(), _ours(ground) - ours
        strangers = (after.busy - before.busy - ours) / (after.all - before.all)
        played[_Round(strangers, len(played))] = result
        say(f"  round {len(played)}: others used {strangers:.0%} of the machine")
    kept = sorted(sorted(played)[:wanted], key=lambda each: each.number)
    loudest = max(each.strangers for each in kept)
    say(f"  {len(kept)} of {len(played)} rounds are counted; others used up to {loudest:.0%} of the machine in them")
    return [played[each] for each in kept]


def _ours(ground: Ground) -> float:
    return cpu_seconds(os.getpid()) + ground.servers_cpu()
