"""Draining jobs that do nothing, every event recorded, beside pgqueuer."""

from __future__ import annotations

from typing import Final

from benchmarks.drains import Drained, drain, drain_pgqueuer, has_pgqueuer
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import say
from benchmarks.quiet import quiet_rounds

_DEFAULT_CONCURRENCY: Final = 50
_GOAL: Final = 10_000


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Rounds of: one process, pgqueuer, two processes, one process at the default concurrency."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 5)

    async def play() -> tuple[Drained, Drained | None, Drained, Drained]:
        one = await drain(ground, jobs)
        theirs = await drain_pgqueuer(ground, jobs) if has_pgqueuer() else None
        two = await drain(ground, jobs, processes=2)
        usual = await drain(ground, jobs, concurrency=_DEFAULT_CONCURRENCY)
        pgqueuer = "not installed" if theirs is None else f"{theirs.per_second:,.0f}/s"
        say(
            f"drain: one process {one.per_second:,.0f}/s, pgqueuer {pgqueuer}, two processes {two.per_second:,.0f}/s,"
            f" concurrency {_DEFAULT_CONCURRENCY} {usual.per_second:,.0f}/s"
        )
        return one, theirs, two, usual

    ones, theirs, twos, usuals = zip(*await quiet_rounds(ground, play, wanted=rounds), strict=True)
    compared = [each for each in theirs if each is not None]
    return [*_rates(ones, compared, twos, usuals), *_costs(ones, compared, usuals)]


def _rates(
    ones: tuple[Drained, ...], theirs: list[Drained], twos: tuple[Drained, ...], usuals: tuple[Drained, ...]
) -> list[Figure]:
    one, pgqueuer, two, usual = ([each.per_second for each in found] for found in (ones, theirs, twos, usuals))
    figures = [
        Figure(
            what="drain, one worker process, jobs/s",
            value=spread(one),
            goal=f"at least {_GOAL:,}",
            met=median(one) >= _GOAL,
        )
    ]
    if pgqueuer:
        ratio = ratios(one, pgqueuer)
        figures.append(
            Figure(
                what="drain, one worker process, jobs/s",
                value=spread(one),
                reference=f"pgqueuer, one worker: {spread(pgqueuer)}",
                ratio=ratio,
                goal="no slower than pgqueuer",
                met=ratio >= 1,
            )
        )
    faster = ratios(two, one)
    return [
        *figures,
        Figure(
            what="drain, two worker processes, jobs/s",
            value=spread(two),
            reference=f"one process: {spread(one)}",
            ratio=faster,
            goal="faster than one",
            met=faster > 1,
        ),
        Figure(
            what=f"drain, one process, concurrency {_DEFAULT_CONCURRENCY} (the default), jobs/s",
            value=spread(usual),
            reference=f"one process, tuned: {spread(one)}",
            ratio=ratios(usual, one),
        ),
    ]


def _costs(ones: tuple[Drained, ...], theirs: list[Drained], usuals: tuple[Drained, ...]) -> list[Figure]:
    trips, usual_trips = (median([each.trips for each in found]) for found in (ones, usuals))
    return [
        Figure(what="round trips per job", value=f"{trips:.4f}", goal="under 0.1", met=trips < 0.1),
        Figure(
            what=f"round trips per job, concurrency {_DEFAULT_CONCURRENCY}",
            value=f"{usual_trips:.4f}",
            goal="under 0.1",
            met=usual_trips < 0.1,
        ),
        Figure(
            what="CPU of PostgreSQL per job, µs",
            value=spread([each.postgres_us for each in ones]),
            reference=f"pgqueuer: {spread([each.postgres_us for each in theirs])}" if theirs else "",
        ),
        Figure(
            what=f"CPU of PostgreSQL per job, concurrency {_DEFAULT_CONCURRENCY}, µs",
            value=spread([each.postgres_us for each in usuals]),
        ),
    ]
