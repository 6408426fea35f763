"""Enqueueing 1,000 jobs a request, beside the storage alone."""

from __future__ import annotations

import json
import time
from typing import Final

from benchmarks.drains import enqueue
from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import say
from benchmarks.sections.http import loaded

_CONNECTIONS: Final = 4
_SIZE: Final = 1000
_GOAL: Final = 25_000


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """The API under load, then the storage called by one process directly, in turn."""
    rounds, seconds, jobs = (2, 2, 50_000) if quick else (7, 4, 100_000)
    body = json.dumps(
        {"jobs": [{"job_type": "noop", "payload": {"number": number}} for number in range(_SIZE)]}
    ).encode()
    url, other = await ground.database(), await ground.database()
    api, port = await ground.api(url)
    over_http: list[float] = []
    cpu_us: list[float] = []
    directly: list[float] = []
    for round_ in range(rounds):
        before = api.cpu_seconds()
        found = await loaded(ground, port, "/v1/jobs/batch", body, connections=_CONNECTIONS, seconds=seconds)
        cpu_us.append((api.cpu_seconds() - before) / found["total"] / _SIZE * 1e6)
        over_http.append(found["per_second"] * _SIZE)
        started = time.perf_counter()
        await enqueue(other, jobs)
        directly.append(jobs / (time.perf_counter() - started))
        say(f"batch {round_ + 1}/{rounds}: {over_http[-1]:,.0f} jobs/s over HTTP, {directly[-1]:,.0f} storage alone")
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
