"""Enqueueing one job a request, beside a route that stores nothing, one insert a request, and the API on PostgreSQL."""

from __future__ import annotations

import json
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple

from benchmarks.figures import Figure, median, ratios, spread
from benchmarks.ground import Ground
from benchmarks.processes import Process, say
from benchmarks.quiet import quiet_rounds
from benchmarks.redis_ground import RedisGround

_CONNECTIONS: Final = 32
_BODY: Final = b'{"job_type":"noop","payload":{"to":"ada@example.com","template":"welcome","number":42}}'
_TWICE: Final = 2.0


class Loaded(NamedTuple):
    """One server, one time. CPU of its process and of the server behind it per request, in microseconds."""

    per_second: float
    cpu_us: float
    server_us: float
    p99_ms: float


async def measure(ground: Ground, *, quick: bool) -> list[Figure]:
    """Load each in turn, several rounds."""
    rounds, seconds = (2, 2) if quick else (7, 4)
    url = await ground.database()
    servers = {
        "DataQueue": await ground.api(url),
        "plain route": await ground.reference("plain", url),
        "one insert a request": await ground.reference("one_insert", url),
    }
    if isinstance(ground, RedisGround):
        beside = ground.postgres()
        servers["on PostgreSQL"] = await beside.api(await beside.database())

    async def play() -> list[Loaded]:
        found = [await _loaded(ground, *server, seconds) for server in servers.values()]
        said = zip(servers, found, strict=True)
        say("http: " + ", ".join(f"{name} {each.per_second:,.0f}/s" for name, each in said))
        return found

    played = await quiet_rounds(ground, play, wanted=rounds)
    for process, _ in servers.values():
        process.stop()
    ours, plain, single, *others = ([round_[number] for round_ in played] for number in range(len(servers)))
    return [*_figures(ground, ours, plain, single), *(_beside_postgres(ours, other) for other in others)]


async def _loaded(ground: Ground, process: Process, port: int, seconds: float) -> Loaded:
    cpu, server = process.cpu_seconds(), ground.server_cpu()
    found = await loaded(ground, port, "/v1/jobs", _BODY, connections=_CONNECTIONS, seconds=seconds)
    return Loaded(
        found["per_second"],
        (process.cpu_seconds() - cpu) / found["total"] * 1e6,
        (ground.server_cpu() - server) / found["total"] * 1e6,
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


def _figures(ground: Ground, ours: list[Loaded], plain: list[Loaded], single: list[Loaded]) -> list[Figure]:
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
            what=f"CPU of {ground.name} per request, µs",
            value=spread([each.server_us for each in ours]),
            reference=f"one insert: {spread([each.server_us for each in single])}",
        ),
        Figure(
            what="POST /v1/jobs, 99th percentile, ms",
            value=_p99(ours),
            reference=f"plain: {_p99(plain)}; one insert: {_p99(single)}",
        ),
    ]


def _beside_postgres(ours: list[Loaded], other: list[Loaded]) -> Figure:
    rates, other_rates = ([each.per_second for each in found] for found in (ours, other))
    ratio = ratios(rates, other_rates)
    return Figure(
        what="POST /v1/jobs, requests/s",
        value=spread(rates),
        reference=f"the same on PostgreSQL: {spread(other_rates)}, 99th percentile {_p99(other)} ms",
        ratio=ratio,
        goal="no slower than on PostgreSQL",
        met=ratio >= 1,
    )


def _p99(found: list[Loaded]) -> str:
    return f"{median([each.p99_ms for each in found]):.1f}"
