"""Threads for handlers that are plain functions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

Work = Callable[[], None]


class ThreadPool:
    """Runs work in threads that are made when needed and kept; at most as many as its caller hands in at a time.

    The threads are daemons, unlike those of concurrent.futures: a handler that never returns must not keep the
    process from ending.
    """

    def __init__(self, *, name: str) -> None:
        self._name: Final = name
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._unused = threading.Semaphore(0)
        self._threads = 0

    def submit(self, work: Work) -> None:
        """Run `work`, which must not raise, in the next thread that has nothing to do."""
        self._work.put(work)
        if not self._unused.acquire(blocking=False):
            self._threads += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()

    def close(self) -> None:
        """Let the threads go once they have nothing to do."""
        for _ in range(self._threads):
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            # A closure holds its job's payload and context.
            del work
            self._unused.release()
