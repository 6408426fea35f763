"""Importing a stream of lines: how fast, at what cost, in how much memory, and what others notice of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Final, NamedTuple

from benchmarks.figures import Figure
from benchmarks.postgres_ground import PostgresGround
from benchmarks.processes import Process, resident_bytes, say
from benchmarks.quiet import quiet_rounds
from benchmarks.sections.http import loaded

_GOAL: Final = 40_000
_LOOK: Final = 0.1
_FLAT: Final = 1.5
_MIB: Final = 1 << 20
_ONE: Final = b'{"job_type":"noop","payload":{"number":1}}'
_CALLERS: Final = 8
_CALLING: Final = 3.0


class Imported(NamedTuple):
    """One import. Memory of the API process in MiB: before, after a tenth of the time, most."""

    per_second: float
    sending: float
    cpu_us: float
    server_us: float
    client_us: float
    before: float
    early: float
    most: float


async def measure(ground: PostgresGround, *, quick: bool) -> list[Figure]:
    """Import with answers read at once, read late, and with keys; then enqueue singly while an import runs."""
    lines = 200_000 if quick else 2_000_000
    ways = {"read at once": ("plain", "early"), "read late": ("plain", "late"), "keyed": ("keyed", "early")}
    figures = []
    for way, options in ways.items():

        async def play(way: str = way, options: tuple[str, str] = options) -> Imported:
            url = await ground.database()
            api, port = await ground.api(url)
            await _import(ground, api, port, 1000, *options)
            found = await _import(ground, api, port, lines, *options)
            say(f"import, {way}: {found.per_second:,.0f}/s, {found.before:.0f} to {found.most:.0f} MiB")
            api.stop()
            await ground.drop(url)
            return found

        [found] = await quiet_rounds(ground, play, wanted=1)
        figures += _figures(way, lines, found)
    return [*figures, *await _beside(ground, lines)]


async def _import(ground: PostgresGround, api: Process, port: int, lines: int, *options: str) -> Imported:
    cpu, postgres = api.cpu_seconds(), ground.server_cpu()
    memory: list[float] = [resident_bytes(api.pid) / _MIB]
    watching = asyncio.create_task(_watch(api, memory))
    found = await _output(ground, port, lines, *options)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return Imported(
        lines / found["seconds"],
        found["sending"],
        (api.cpu_seconds() - cpu) / lines * 1e6,
        (ground.server_cpu() - postgres) / lines * 1e6,
        found["cpu"] / lines * 1e6,
        memory[0],
        memory[len(memory) // 10],
        max(memory),
    )


async def _output(ground: PostgresGround, port: int, lines: int, *options: str) -> dict[str, Any]:
    """What `benchmarks.streaming` reports. RuntimeError unless every line became a job."""
    tool = ground.tool("benchmarks.streaming", str(port), str(lines), *options)
    found: dict[str, Any] = json.loads(await tool.output())
    created = found["summary"]["created"] + found["summary"]["existing"]
    if (found["answers"], created) != (lines, lines):
        raise RuntimeError(f"{lines} lines were answered {found}")
    return found


async def _watch(api: Process, memory: list[float]) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        memory.append(resident_bytes(api.pid) / _MIB)


async def _beside(ground: PostgresGround, lines: int) -> list[Figure]:
    """What single enqueues notice of an import."""
    url = await ground.database()
    api, port = await ground.api(url)

    async def singly() -> dict[str, Any]:
        return await loaded(ground, port, "/v1/jobs", _ONE, connections=_CALLERS, seconds=_CALLING)

    alone = await singly()
    importing = asyncio.create_task(_output(ground, port, lines, "plain", "early"))
    await asyncio.sleep(_LOOK)
    beside = await singly()
    was_over = importing.done()
    found = await importing
    api.stop()
    await ground.drop(url)
    return [
        Figure(
            what=f"POST /v1/jobs, {_CALLERS} callers, while an import runs, 99th percentile, ms",
            value=f"{beside['p99_ms']:.1f} (median {beside['median_ms']:.1f}; {beside['per_second']:,.0f}/s)",
            reference=f"without: {alone['p99_ms']:.1f} (median {alone['median_ms']:.1f}; {alone['per_second']:,.0f}/s)",
        ),
        Figure(
            what="import beside them, lines/s" + (" (it ended before they did)" if was_over else ""),
            value=f"{lines / found['seconds']:,.0f}",
        ),
    ]


def _figures(way: str, lines: int, found: Imported) -> list[Figure]:
    return [
        Figure(
            what=f"POST /v1/jobs/import of {lines:,} lines, {way}, jobs/s",
            value=f"{found.per_second:,.0f}",
            goal=f"at least {_GOAL:,}",
            met=found.per_second >= _GOAL,
        ),
        Figure(
            what=f"CPU per line, {way}, µs",
            value=f"API {found.cpu_us:.1f}, PostgreSQL {found.server_us:.1f}, client {found.client_us:.1f}",
        ),
        Figure(
            what=f"memory of the API process at most, {way}, MiB",
            value=f"{found.most:.0f}",
            reference=f"before: {found.before:.0f}; after a tenth: {found.early:.0f}",
            ratio=found.most / found.early,
            goal=f"within {_FLAT} times what it is after a tenth",
            met=found.most <= _FLAT * found.early,
        ),
    ]
