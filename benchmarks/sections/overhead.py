"""What a worker process itself spends on a job: its CPU time from the first claim to the last completion."""

from __future__ import annotations

from typing import Final

from benchmarks.drains import TUNED_CONCURRENCY, Drained, drain, drain_pgqueuer, has_pgqueuer
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import say

_GOAL: Final = 50
_CONCURRENCIES: Final = (TUNED_CONCURRENCY, 50)


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Drains at two concurrencies, and pgqueuer's."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 3)
    ours: dict[int, list[Drained]] = {concurrency: [] for concurrency in _CONCURRENCIES}
    theirs: list[Drained] = []
    for round_ in range(rounds):
        for concurrency in _CONCURRENCIES:
            ours[concurrency].append(await drain(ground, jobs, concurrency=concurrency))
        if has_pgqueuer():
            theirs.append(await drain_pgqueuer(ground, jobs))
        shown = ", ".join(f"{drained[-1].worker_us:.0f} µs at {concurrency}" for concurrency, drained in ours.items())
        say(f"overhead {round_ + 1}/{rounds}: {shown}")
    return [_figure(concurrency, drained, theirs) for concurrency, drained in ours.items()]


def _figure(concurrency: int, drained: list[Drained], theirs: list[Drained]) -> Figure:
    spent = [each.worker_us for each in drained]
    references = [each.worker_us for each in theirs]
    return Figure(
        what=f"CPU of the worker process per job, concurrency {concurrency}, µs",
        value=spread(spent),
        reference=f"pgqueuer: {spread(references)}" if references else "",
        ratio=ratios(spent, references) if references else None,
        goal=f"under {_GOAL}",
        met=median(spent) < _GOAL,
    )
