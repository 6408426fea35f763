"""Draining while somebody holds a snapshot open, as pg_dump does."""

from __future__ import annotations

from typing import Final

from benchmarks.drains import drain
from benchmarks.figures import Figure, ratios, spread
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import say
from benchmarks.quiet import quiet_rounds

_GOAL: Final = 0.8


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """Drains with and without, in turn."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 5)

    async def play() -> tuple[float, float]:
        without = (await drain(ground, jobs)).per_second
        held = (await drain(ground, jobs, held=ground.snapshot_of)).per_second
        say(f"snapshot: {without:,.0f}/s without, {held:,.0f}/s with one held open")
        return without, held

    without, held = zip(*await quiet_rounds(ground, play, wanted=rounds), strict=True)
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
