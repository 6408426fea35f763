"""Draining jobs that do nothing, every event recorded, beside pgqueuer."""

from __future__ import annotations

from benchmarks.drains import Drained, drain, drain_pgqueuer, has_pgqueuer
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import say

_DEFAULT_CONCURRENCY = 50


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Rounds of: ours, pgqueuer, ours with two processes, ours at the default concurrency."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 5)
    one: list[Drained] = []
    theirs: list[Drained] = []
    two: list[Drained] = []
    usual: list[Drained] = []
    for round_ in range(rounds):
        one.append(await drain(ground, jobs))
        if has_pgqueuer():
            theirs.append(await drain_pgqueuer(ground, jobs))
        two.append(await drain(ground, jobs, processes=2))
        usual.append(await drain(ground, jobs, concurrency=_DEFAULT_CONCURRENCY))
        pgqueuer = f"{theirs[-1].per_second:,.0f}" if theirs else "not installed"
        say(
            f"drain {round_ + 1}/{rounds}: one process {one[-1].per_second:,.0f}/s, pgqueuer {pgqueuer}/s,"
            f" two processes {two[-1].per_second:,.0f}/s, concurrency 50 {usual[-1].per_second:,.0f}/s"
        )
    rates, pair = _rates(one), _rates(two)
    trips = median([each.trips for each in one])
    figures = [
        Figure(
            what="drain, one worker process, jobs/s",
            value=spread(rates),
            goal="at least 10,000",
            met=median(rates) >= 10_000,
        )
    ]
    if theirs:
        ratio = ratios(rates, _rates(theirs))
        figures.append(
            Figure(
                what="drain, beside pgqueuer, jobs/s",
                value=spread(rates),
                reference=f"pgqueuer, one worker: {spread(_rates(theirs))}",
                ratio=ratio,
                goal="no slower than pgqueuer",
                met=ratio >= 1,
            )
        )
    faster = ratios(pair, rates)
    return [
        *figures,
        Figure(
            what="drain, two worker processes, jobs/s",
            value=spread(pair),
            reference=f"one process: {spread(rates)}",
            ratio=faster,
            goal="faster than one",
            met=faster > 1,
        ),
        Figure(
            what=f"drain, one process, concurrency {_DEFAULT_CONCURRENCY} (the default), jobs/s",
            value=spread(_rates(usual)),
            reference="one process, tuned",
            ratio=ratios(_rates(usual), rates),
        ),
        Figure(what="round trips per job", value=f"{trips:.4f}", goal="under 0.1", met=trips < 0.1),
        Figure(
            what=f"round trips per job, concurrency {_DEFAULT_CONCURRENCY}",
            value=f"{(usual_trips := median([each.trips for each in usual])):.4f}",
            goal="under 0.1",
            met=usual_trips < 0.1,
        ),
        Figure(
            what="CPU of PostgreSQL per job, µs",
            value=spread([each.postgres_us for each in one]),
            reference=f"pgqueuer: {spread([each.postgres_us for each in theirs])}" if theirs else "",
        ),
    ]


def _rates(drained: list[Drained]) -> list[float]:
    return [each.per_second for each in drained]
