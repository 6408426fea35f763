"""Draining jobs that do nothing, every event recorded, beside other queues on the same server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from benchmarks.drains import RIVALS, Drained, drain, drain_pgqueuer, drain_rival, has_pgqueuer, rivals_python
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import say
from benchmarks.quiet import quiet_rounds
from benchmarks.redis_ground import RedisGround

_DEFAULT_CONCURRENCY: Final = 50
_GOAL: Final = 10_000


class _Round(NamedTuple):
    one: Drained
    theirs: dict[str, Drained]
    two: Drained
    usual: Drained


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Rounds of: one process, the others, two processes, one process at the default concurrency."""
    jobs, rounds = (20_000, 2) if quick else (50_000, 5)
    others = _others(ground, jobs)

    async def play() -> _Round:
        one = await drain(ground, jobs)
        theirs = {name: await drain_theirs() for name, drain_theirs in others.items()}
        two = await drain(ground, jobs, processes=2)
        usual = await drain(ground, jobs, concurrency=_DEFAULT_CONCURRENCY)
        said = "".join(f" {name} {each.per_second:,.0f}/s," for name, each in theirs.items())
        say(
            f"drain: one process {one.per_second:,.0f}/s,{said} two processes {two.per_second:,.0f}/s,"
            f" concurrency {_DEFAULT_CONCURRENCY} {usual.per_second:,.0f}/s"
        )
        return _Round(one, theirs, two, usual)

    if not others:
        say("drain: nothing to compare with is installed")
    played = await quiet_rounds(ground, play, wanted=rounds)
    return [*_rates(played), *_costs(ground, played)]


def _others(ground: Ground, jobs: int) -> dict[str, Callable[[], Awaitable[Drained]]]:
    """What there is to compare with."""
    if isinstance(ground, PostgresGround):
        return {"pgqueuer": partial(drain_pgqueuer, ground, jobs)} if has_pgqueuer() else {}
    if isinstance(ground, RedisGround) and rivals_python():
        return {name: partial(drain_rival, ground, name, jobs) for name in RIVALS}
    return {}


def _rates(played: list[_Round]) -> list[Figure]:
    one, two, usual = (
        [each.per_second for each in found]
        for found in ([each.one for each in played], [each.two for each in played], [each.usual for each in played])
    )
    figures = [
        Figure(
            what="drain, one worker process, jobs/s",
            value=spread(one),
            goal=f"at least {_GOAL:,}",
            met=median(one) >= _GOAL,
        )
    ]
    for name in played[0].theirs:
        theirs = [each.theirs[name].per_second for each in played]
        ratio = ratios(one, theirs)
        figures.append(
            Figure(
                what="drain, one worker process, jobs/s",
                value=spread(one),
                reference=f"{name}, one worker: {spread(theirs)}",
                ratio=ratio,
                goal=f"no slower than {name}",
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


def _costs(ground: Ground, played: list[_Round]) -> list[Figure]:
    ones, usuals = [each.one for each in played], [each.usual for each in played]
    trips, usual_trips = (median([each.trips for each in found]) for found in (ones, usuals))
    theirs = {name: spread([each.theirs[name].server_us for each in played]) for name in played[0].theirs}
    return [
        Figure(what="round trips per job", value=f"{trips:.4f}", goal="under 0.1", met=trips < 0.1),
        Figure(
            what=f"round trips per job, concurrency {_DEFAULT_CONCURRENCY}",
            value=f"{usual_trips:.4f}",
            goal="under 0.1",
            met=usual_trips < 0.1,
        ),
        Figure(
            what=f"CPU of {ground.name} per job, µs",
            value=spread([each.server_us for each in ones]),
            reference="; ".join(f"{name}: {spent}" for name, spent in theirs.items()),
        ),
        Figure(
            what=f"CPU of {ground.name} per job, concurrency {_DEFAULT_CONCURRENCY}, µs",
            value=spread([each.server_us for each in usuals]),
        ),
        Figure(
            what="CPU of the worker process per job, µs",
            value=spread([each.worker_us for each in ones]),
            reference="; ".join(
                f"{name}: {spread([each.theirs[name].worker_us for each in played])}" for name in theirs
            ),
        ),
    ]
