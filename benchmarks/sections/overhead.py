"""What a worker process itself spends on a job: its CPU time from the first claim to the last completion."""

from __future__ import annotations

from typing import Final

from benchmarks.drains import TUNED_CONCURRENCY, Drained, drain, drain_pgqueuer, has_pgqueuer
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import say
from benchmarks.quiet import quiet_rounds

_GOAL: Final = 50
_CONCURRENCIES: Final = (TUNED_CONCURRENCY, 50)


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """Drains at two concurrencies, and pgqueuer's."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 3)

    async def play() -> tuple[list[Drained], Drained | None]:
        ours = [await drain(ground, jobs, concurrency=concurrency) for concurrency in _CONCURRENCIES]
        theirs = await drain_pgqueuer(ground, jobs) if has_pgqueuer() else None
        shown = zip(ours, _CONCURRENCIES, strict=True)
        say("overhead: " + ", ".join(f"{each.worker_us:.0f} µs at {concurrency}" for each, concurrency in shown))
        return ours, theirs

    played = await quiet_rounds(ground, play, wanted=rounds)
    theirs = [pgqueuer.worker_us for _, pgqueuer in played if pgqueuer is not None]
    return [
        _figure(concurrency, [ours[number].worker_us for ours, _ in played], theirs)
        for number, concurrency in enumerate(_CONCURRENCIES)
    ]


def _figure(concurrency: int, spent: list[float], theirs: list[float]) -> Figure:
    return Figure(
        what=f"CPU of the worker process per job, concurrency {concurrency}, µs",
        value=spread(spent),
        reference=f"pgqueuer: {spread(theirs)}" if theirs else "",
        ratio=ratios(spent, theirs) if theirs else None,
        goal=f"under {_GOAL}",
        met=median(spent) < _GOAL,
    )
