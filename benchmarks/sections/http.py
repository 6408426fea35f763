"""Enqueueing one job a request, beside a route that stores nothing and beside one insert a request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile
from typing import Any, Final

from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import Process, say

_CONNECTIONS: Final = 32
_BODY: Final = b'{"job_type":"noop","payload":{"to":"ada@example.com","template":"welcome","number":42}}'
_TWICE: Final = 2.0


@dataclass(slots=True)
class Contender:
    """One server under load."""

    name: str
    process: Process
    port: int
    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Load each in turn, several rounds."""
    rounds, seconds = (2, 2) if quick else (7, 4)
    url = await ground.database()
    ours = Contender("DataQueue", *await ground.api(url))
    plain = Contender("plain route", *await ground.reference("plain", url))
    single = Contender("one insert a request", *await ground.reference("one_insert", url))
    for round_ in range(rounds):
        for contender in (ours, plain, single):
            await _round(ground, contender, seconds)
        shown = ", ".join(f"{each.name} {each.per_second[-1]:,.0f}/s" for each in (ours, plain, single))
        say(f"http {round_ + 1}/{rounds}: {shown}")
    for contender in (ours, plain, single):
        contender.process.stop()
    to_plain, to_single = ratios(ours.per_second, plain.per_second), ratios(ours.per_second, single.per_second)
    return [
        Figure(
            what=f"POST /v1/jobs, {_CONNECTIONS} connections, one process, requests/s",
            value=spread(ours.per_second),
            reference=f"FastAPI route that stores nothing: {spread(plain.per_second)}",
            ratio=to_plain,
            goal="as many",
            met=to_plain >= 1,
        ),
        Figure(
            what="POST /v1/jobs, shared writes, requests/s",
            value=spread(ours.per_second),
            reference=f"one insert a request: {spread(single.per_second)}",
            ratio=to_single,
            goal="at least twice",
            met=to_single >= _TWICE,
        ),
        Figure(
            what="CPU of the API process per request, µs",
            value=spread(ours.cpu_us),
            reference=f"plain: {spread(plain.cpu_us)}; one insert: {spread(single.cpu_us)}",
            ratio=ratios(ours.cpu_us, plain.cpu_us),
        ),
        Figure(
            what="POST /v1/jobs, 99th percentile, ms",
            value=f"{median(ours.p99_ms):.1f}",
            reference=f"plain: {median(plain.p99_ms):.1f}; one insert: {median(single.p99_ms):.1f}",
        ),
    ]


async def _round(ground: Ground, contender: Contender, seconds: float) -> None:
    before = contender.process.cpu_seconds()
    found = await loaded(ground, contender.port, "/v1/jobs", _BODY, connections=_CONNECTIONS, seconds=seconds)
    contender.per_second.append(found["per_second"])
    contender.cpu_us.append((contender.process.cpu_seconds() - before) / found["total"] * 1e6)
    contender.p99_ms.append(found["p99_ms"])


async def loaded(
    ground: Ground, port: int, path: str, body: bytes, *, connections: int, seconds: float
) -> dict[str, Any]:
    """What `benchmarks.loading` reports. RuntimeError unless every answer was 201."""
    with NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        load = ground.tool("benchmarks.loading", str(port), path, file.name, str(connections), str(seconds))
        found: dict[str, Any] = json.loads(await load.output())
    if set(found["statuses"]) != {"201"}:
        raise RuntimeError(f"POST {path} was answered {found['statuses']}")
    return found
