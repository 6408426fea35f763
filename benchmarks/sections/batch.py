"""Enqueueing 1,000 jobs a request, beside the storage alone."""

from __future__ import annotations

import json
import time
from typing import Final

from benchmarks.drains import enqueue
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import say
from benchmarks.quiet import quiet_rounds
from benchmarks.sections.http import loaded

_CONNECTIONS: Final = 4
_SIZE: Final = 1000
_GOAL: Final = 25_000


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """The API under load, then the storage called by one process directly, in turn."""
    rounds, seconds, jobs = (2, 2, 50_000) if quick else (7, 4, 100_000)
    made = [{"job_type": "noop", "payload": {"number": number}} for number in range(_SIZE)]
    body = json.dumps({"jobs": made}).encode()
    url, other = await ground.database(), await ground.database()
    api, port = await ground.api(url)

    async def play() -> tuple[float, float, float]:
        cpu = api.cpu_seconds()
        found = await loaded(ground, port, "/v1/jobs/batch", body, connections=_CONNECTIONS, seconds=seconds)
        cpu_us = (api.cpu_seconds() - cpu) / found["total"] / _SIZE * 1e6
        started = time.perf_counter()
        await enqueue(other, jobs)
        over_http, directly = found["per_second"] * _SIZE, jobs / (time.perf_counter() - started)
        say(f"batch: {over_http:,.0f} jobs/s over HTTP, {directly:,.0f} storage alone")
        return over_http, directly, cpu_us

    over_http, directly, cpu_us = zip(*await quiet_rounds(ground, play, wanted=rounds), strict=True)
    api.stop()
    return [
        Figure(
            what=f"POST /v1/jobs/batch of {_SIZE:,}, {_CONNECTIONS} connections, jobs/s",
            value=spread(over_http),
            reference=f"storage alone, one caller: {spread(directly)}",
            ratio=ratios(over_http, directly),
            goal=f"at least {_GOAL:,}",
            met=median(over_http) >= _GOAL,
        ),
        Figure(what="CPU of the API process per job of a batch, µs", value=spread(cpu_us, ".1f")),
    ]
