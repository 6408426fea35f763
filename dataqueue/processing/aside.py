"""A thread with an event loop and a storage of its own, for what must go on while handlers block the worker's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from dataqueue.storage.port import Storage

log = structlog.get_logger(__name__)

_LONGEST_END: Final = 5.0

Loops = Callable[[Storage], Sequence[Coroutine[Any, Any, None]]]


class Aside:
    """Runs loops that never end, in a thread, until it is stopped.

    `open_storage` and `loops` are called in that thread. A loop that ends or raises is a fault of ours: `died`
    is then called, in that thread too.
    """

    def __init__(
        self,
        *,
        name: str,
        open_storage: Callable[[], Storage],
        loops: Loops,
        died: Callable[[], None],
    ) -> None:
        self._open_storage, self._loops, self._died = open_storage, loops, died
        # A daemon: a connection that will not close must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopped = asyncio.Event()

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    async def stop(self) -> None:
        """End the loops and close the storage; gives up after 5 s."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopped.set)
        await asyncio.to_thread(self._thread.join, _LONGEST_END)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except BaseException:
            log.exception("aside.died")
            self._died()

    async def _main(self) -> None:
        storage = self._open_storage()
        try:
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(loop) for loop in self._loops(storage)]
                await self._stopped.wait()
                for loop in loops:
                    loop.cancel()
        finally:
            await storage.close()
