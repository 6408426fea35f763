"""A Redis of our own, with an append-only file that is written to disk every second, as in production."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from redis.asyncio import Redis

from benchmarks.ground import Ground, Recorded
from benchmarks.processes import Fleet, cpu_seconds
from dataqueue.storage.embedded import EmbeddedRedis

_BEGINNING: Final = "{dq:default}"
_AT_ONCE: Final = 5000
_LOOK: Final = 0.2
_REWRITING: Final = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
# Every script is one. What a script calls is counted besides, by the same names as what others might send.
_TRIPS: Final = ("evalsha", "eval", "ping", "subscribe", "info")


class RedisGround(Ground):
    """A numbered database for each place; they share the server's one thread."""

    name: ClassVar[str] = "Redis"
    wake_up: ClassVar[str] = "PUBLISH"

    def __init__(self, server: EmbeddedRedis, fleet: Fleet, home: Path, postgres: Callable[[], Ground]) -> None:
        super().__init__(fleet)
        self._server, self._home, self._postgres = server, home, postgres
        self._taken: set[int] = set()
        self._beside: Ground | None = None

    def postgres(self) -> Ground:
        """A PostgreSQL on the same machine, to compare with."""
        self._beside = self._beside or self._postgres()
        return self._beside

    def servers_cpu(self) -> float:
        return self.server_cpu() + (self._beside.server_cpu() if self._beside else 0.0)

    async def database(self) -> str:
        number = next(one for one in range(16) if one not in self._taken)
        self._taken.add(number)
        return f"unix://{self._server.socket}?db={number}"

    async def drop(self, url: str) -> None:
        async with self.connected(url) as client:
            await client.flushdb()
        self._taken.discard(int(url.rpartition("=")[2]))

    @asynccontextmanager
    async def connected(self, url: str) -> AsyncIterator[Any]:
        """A client of redis-py's, closed at the end of the block."""
        client: Any = Redis.from_url(url, decode_responses=True, max_connections=1)
        try:
            yield client
        finally:
            await client.aclose()

    async def settle(self, url: str) -> None:
        """No child is at work on the append-only file: while one is, each page that is written is copied first."""
        async with self.connected(url) as client:
            while True:
                said = await client.info("persistence")
                if not any(said[name] for name in _REWRITING):
                    return
                await asyncio.sleep(_LOOK)

    async def trips(self, url: str) -> int:
        """Of all databases; the others are idle."""
        async with self.connected(url) as client:
            said = await client.info("commandstats")
        return sum(int(said[f"cmdstat_{name}"]["calls"]) for name in _TRIPS if f"cmdstat_{name}" in said)

    @asynccontextmanager
    async def watching(self, url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        async with self.connected(url) as client:

            async def events() -> int:
                return int(await client.xlen(f"{_BEGINNING}:events"))

            yield events

    async def recorded(self, url: str) -> Recorded:
        async with self.connected(url) as client:
            members = await client.zrange(f"{_BEGINNING}:st:completed", 0, -1)
            started, ended = [], []
            for first in range(0, len(members), _AT_ONCE):
                pipe = client.pipeline(transaction=False)
                for member in members[first : first + _AT_ONCE]:
                    pipe.hmget(f"{_BEGINNING}:job:{member[16:]}", "started_at", "ended_at")
                for job in await pipe.execute():
                    started.append(int(job[0]))
                    ended.append(int(job[1]))
            events = await client.xlen(f"{_BEGINNING}:events")
        return Recorded(len(members), (max(ended) - min(started)) / 1e6 if ended else 0.0, events)

    def server_cpu(self) -> float:
        """Of its children, too, which rewrite the append-only file."""
        [pid_file] = self._home.glob("redis/data/server.pid")
        return cpu_seconds(int(pid_file.read_text()))

    @asynccontextmanager
    async def wakes(self, url: str) -> AsyncIterator[Callable[[], Awaitable[float]]]:
        async with self.connected(url) as listening, self.connected(url) as publishing, listening.pubsub() as heard:
            await heard.subscribe("bench")
            await heard.get_message(timeout=1)

            async def wake() -> float:
                sent = time.monotonic_ns()
                await publishing.publish("bench", "")
                await heard.get_message(timeout=1)
                return (time.monotonic_ns() - sent) / 1e6

            yield wake

    async def listeners(self, url: str) -> int:
        channel = f"dataqueue:{url.rpartition('=')[2]}"
        async with self.connected(url) as client:
            [[_, count]] = await client.pubsub_numsub(channel)
        return int(count)
