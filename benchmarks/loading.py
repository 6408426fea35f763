"""The load: requests built beforehand, written as fast as the answers come. `python -m benchmarks.loading`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final, cast

import uvloop

_WARM_UP: Final = 0.5
_LENGTH: Final = b"content-length: "


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self._sent = 0.0
        self.is_counting = False
        self.is_done = False
        self.total = 0
        self.took: list[float] = []
        self.statuses: Counter[bytes] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            self._received = received
            return
        length = received.find(_LENGTH) + len(_LENGTH)
        if len(received) < head + 4 + int(received[length : received.find(b"\r\n", length)]):
            self._received = received
            return
        self._received = b""
        self.total += 1
        if self.is_counting:
            self.took.append(time.perf_counter() - self._sent)
            self.statuses[received[9:12]] += 1
        if not self.is_done:
            self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def request(path: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        f"content-length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def load(port: int, path: str, body: bytes, *, connections: int, seconds: float) -> dict[str, object]:
    """Keep an API busy; what came back, and how fast."""
    loop = asyncio.get_running_loop()
    wanted = request(path, body)
    made = [
        (await loop.create_connection(lambda: Connection(wanted), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.sleep(_WARM_UP)
    for connection in made:
        connection.is_counting = True
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    for connection in made:
        connection.is_counting, connection.is_done = False, True
    took = sorted(each for connection in made for each in connection.took)
    statuses = sum((connection.statuses for connection in made), Counter[bytes]())
    # What is in flight is answered before the connections close.
    await asyncio.sleep(0.2)
    return {
        "per_second": len(took) / elapsed,
        "total": sum(connection.total for connection in made),
        "median_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[len(took) * 99 // 100] * 1000,
        "statuses": {status.decode(): count for status, count in statuses.items()},
    }


def main() -> None:
    port, path, body, connections, seconds = sys.argv[1:]
    found = uvloop.run(
        load(int(port), path, Path(body).read_bytes(), connections=int(connections), seconds=float(seconds))
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
