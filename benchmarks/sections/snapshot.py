"""Draining while somebody holds a snapshot open, as pg_dump does."""

from __future__ import annotations

from typing import Final

from benchmarks.drains import drain
from benchmarks.figures import Figure, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import say

_GOAL: Final = 0.8


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Drains with and without, in turn."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 5)
    without: list[float] = []
    held: list[float] = []
    for round_ in range(rounds):
        without.append((await drain(ground, jobs)).per_second)
        held.append((await drain(ground, jobs, snapshot=True)).per_second)
        say(f"snapshot {round_ + 1}/{rounds}: {without[-1]:,.0f}/s without, {held[-1]:,.0f}/s with one held open")
    ratio = ratios(held, without)
    return [
        Figure(
            what="drain with a snapshot held open, jobs/s",
            value=spread(held),
            reference=f"without: {spread(without)}",
            ratio=ratio,
            goal=f"at least {_GOAL:.0%}",
            met=ratio >= _GOAL,
        )
    ]
