"""Enqueueing one job a request, beside a route that stores nothing and beside one insert a request."""

from __future__ import annotations

import json
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple

from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import Process, say
from benchmarks.quiet import quiet_rounds

_CONNECTIONS: Final = 32
_BODY: Final = b'{"job_type":"noop","payload":{"to":"ada@example.com","template":"welcome","number":42}}'
_TWICE: Final = 2.0


class Loaded(NamedTuple):
    """One server, one time. CPU of its process and of PostgreSQL per request, in microseconds."""

    per_second: float
    cpu_us: float
    postgres_us: float
    p99_ms: float


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Load each in turn, several rounds."""
    rounds, seconds = (2, 2) if quick else (7, 4)
    url = await ground.database()
    servers = [await ground.api(url), await ground.reference("plain", url), await ground.reference("one_insert", url)]

    async def play() -> list[Loaded]:
        found = [await _loaded(ground, *server, seconds) for server in servers]
        ours, plain, single = (f"{each.per_second:,.0f}" for each in found)
        say(f"http: DataQueue {ours}/s, plain route {plain}/s, one insert a request {single}/s")
        return found

    played = await quiet_rounds(ground, play, wanted=rounds)
    for process, _ in servers:
        process.stop()
    return _figures(*([round_[server] for round_ in played] for server in range(3)))


async def _loaded(ground: Ground, process: Process, port: int, seconds: float) -> Loaded:
    cpu, postgres = process.cpu_seconds(), ground.postgres_cpu()
    found = await loaded(ground, port, "/v1/jobs", _BODY, connections=_CONNECTIONS, seconds=seconds)
    return Loaded(
        found["per_second"],
        (process.cpu_seconds() - cpu) / found["total"] * 1e6,
        (ground.postgres_cpu() - postgres) / found["total"] * 1e6,
        found["p99_ms"],
    )


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


def _figures(ours: list[Loaded], plain: list[Loaded], single: list[Loaded]) -> list[Figure]:
    rates, plain_rates, single_rates = ([each.per_second for each in found] for found in (ours, plain, single))
    cpu, plain_cpu, single_cpu = ([each.cpu_us for each in found] for found in (ours, plain, single))
    to_plain, to_single = ratios(rates, plain_rates), ratios(rates, single_rates)
    return [
        Figure(
            what=f"POST /v1/jobs, {_CONNECTIONS} connections, one process, requests/s",
            value=spread(rates),
            reference=f"FastAPI route that stores nothing: {spread(plain_rates)}",
            ratio=to_plain,
            goal="as many",
            met=to_plain >= 1,
        ),
        Figure(
            what="POST /v1/jobs, shared writes, requests/s",
            value=spread(rates),
            reference=f"one insert a request: {spread(single_rates)}",
            ratio=to_single,
            goal="at least twice",
            met=to_single >= _TWICE,
        ),
        Figure(
            what="CPU of the API process per request, µs",
            value=spread(cpu),
            reference=f"plain: {spread(plain_cpu)}; one insert: {spread(single_cpu)}",
            ratio=ratios(cpu, plain_cpu),
        ),
        Figure(
            what="CPU of PostgreSQL per request, µs",
            value=spread([each.postgres_us for each in ours]),
            reference=f"one insert: {spread([each.postgres_us for each in single])}",
        ),
        Figure(
            what="POST /v1/jobs, 99th percentile, ms",
            value=_p99(ours),
            reference=f"plain: {_p99(plain)}; one insert: {_p99(single)}",
        ),
    ]


def _p99(found: list[Loaded]) -> str:
    return f"{median([each.p99_ms for each in found]):.1f}"
