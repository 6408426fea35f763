"""A way to the storage that the test commands: it loses replies, holds statements back, is shut and opened again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dataqueue.storage.backend import Backend, backend_of
from tests.storage.severing import Severing

LONGEST_HOLD: Final = 30.0
WORDS: Final = {
    Backend.POSTGRES: {
        "enqueue": "job:added",
        "enqueue with a key": "COMMIT",
        "claim": "job:processing",
        "complete": "job:completed",
        "fail": "job:failed",
        "stage": "order by wake_at",
    },
    Backend.REDIS: {
        "enqueue": "jobs/enqueue",
        "enqueue with a key": "jobs/enqueue",
        "claim": "jobs/claim",
        "complete": "jobs/complete",
        "fail": "jobs/fail",
        "stage": "upkeep/lowest",
    },
}
"""By what a statement is known that does what a verb of the storage says."""


class Way(Severing):
    """Lives in a thread of its own; every method may be called from the test's.

    `statements` is what was asked to be executed, `refused` when somebody tried to connect to a way that was shut.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder)
        self._words = WORDS[backend_of(url) or Backend.POSTGRES]
        self.statements: list[str] = []
        self.refused: list[float] = []
        self.holds = threading.Event()
        self._words_to_hold: str | None = None
        self._let_go = threading.Event()
        self._shut = False
        self._clients: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()

    def lose_reply_to(self, verb: str) -> None:
        """Cut the connection when this has been done the next time."""
        self.cut_when(self._words[verb])

    def hold(self, verb: str) -> None:
        """The next statement that does this is kept here, and everything else with it, until `let_go`."""
        self._words_to_hold = self._words[verb]

    def let_go(self) -> None:
        self._let_go.set()

    def shut(self) -> None:
        """Hang up on everybody, and on whoever comes."""
        self._loop.call_soon_threadsafe(self._hang_up)

    def open(self) -> None:
        self._loop.call_soon_threadsafe(setattr, self, "_shut", False)

    def takes(self, statement: str) -> bool:
        if statement:
            self.statements.append(statement)
        if self._words_to_hold is not None and self._words_to_hold in statement:
            self._words_to_hold = None
            self.holds.set()
            # The whole loop: whoever is at the other end is cut off altogether.
            assert self._let_go.wait(LONGEST_HOLD)
        return super().takes(statement)

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self._shut:
            self.refused.append(time.monotonic())
            to_client.close()
            return
        self._clients.add(to_client)
        try:
            await super().serve(client, to_client)
        finally:
            to_client.close()
            self._clients.discard(to_client)

    def run(self, is_open: threading.Event) -> None:
        """Carry statements until told to end."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._carry(is_open))

    def end(self) -> None:
        self._let_go.set()
        self._loop.call_soon_threadsafe(self._over.set)

    def _hang_up(self) -> None:
        self._shut = True
        for client in self._clients:
            client.close()

    async def _carry(self, is_open: threading.Event) -> None:
        carried: set[asyncio.Task[None]] = set()

        def connected(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            carried.add(asyncio.create_task(self.serve(client, to_client)))

        async with await asyncio.start_unix_server(connected, str(self.path)):
            is_open.set()
            await self._over.wait()
            # Not cancelled: each closes both of its ends when the client's is closed.
            self._hang_up()
            while left := [task for task in carried if not task.done()]:
                await asyncio.wait(left)
        await asyncio.gather(*carried, return_exceptions=True)


@contextmanager
def way_to(url: str, folder: Path) -> Iterator[Way]:
    """A way to the server of `url`; the folder is for its socket alone."""
    folder.mkdir()
    way, is_open = Way(url, folder), threading.Event()
    thread = threading.Thread(target=way.run, args=(is_open,), name="way")
    thread.start()
    assert is_open.wait(10)
    try:
        yield way
    finally:
        way.end()
        thread.join()
