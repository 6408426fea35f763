"""What processes with nothing to do ask of the server."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.figures import Figure
from benchmarks.ground import Ground
from benchmarks.processes import Process, say

_GOAL: Final = 2.0
# A session that has been idle for 10 s has told all it did.
_SETTLING: Final = 12.0


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """A worker alone, then an API alone."""
    seconds = 15.0 if quick else 40.0
    url = await ground.database()
    worker = await ground.worker(url, concurrency=50)
    of_worker, worker_cpu = await _watched(ground, url, worker, seconds)
    worker.stop()
    say(f"idle: worker {of_worker:.2f} round trips/s")
    url = await ground.database()
    api, _ = await ground.api(url)
    of_api, api_cpu = await _watched(ground, url, api, seconds)
    api.stop()
    say(f"idle: API {of_api:.2f} round trips/s")
    return [
        Figure(
            what="idle worker, round trips/s",
            value=f"{of_worker:.2f} ({worker_cpu:.1%} of a core)",
            goal=f"at most {_GOAL:.0f}",
            met=of_worker <= _GOAL,
        ),
        Figure(what="idle API, round trips/s", value=f"{of_api:.2f} ({api_cpu:.1%} of a core)"),
    ]


async def _watched(ground: Ground, url: str, process: Process, seconds: float) -> tuple[float, float]:
    """Round trips, and CPU, a second."""
    await asyncio.sleep(_SETTLING)
    asked, cpu = await ground.trips(url), process.cpu_seconds()
    await asyncio.sleep(seconds)
    return (await ground.trips(url) - asked) / seconds, (process.cpu_seconds() - cpu) / seconds
