"""An event loop in a thread of its own, with an open queue on it, for threads that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from dataqueue.errors import DataQueueError
from dataqueue.queue import Queue

T = TypeVar("T")


class QueueLoop:
    """Opens the queue when it is made, and closes it at the end. Called from any thread but its own."""

    def __init__(self, open_queue: Callable[[], Queue]) -> None:
        self._loop = asyncio.new_event_loop()
        self._submitting = threading.Lock()
        self._is_ended = False
        # A daemon: a program that forgets to close must still end.
        self._thread = threading.Thread(target=self._loop.run_forever, name="dataqueue-sync", daemon=True)
        self._thread.start()
        try:
            self.queue = open_queue()
        except BaseException:
            self._end()
            raise

    def call(self, what: Callable[[Queue], Coroutine[Any, Any, T]]) -> T:
        """What a coroutine on the loop answers. DataQueueError: it was closed meanwhile, or is this thread's own."""
        if threading.current_thread() is self._thread:
            raise DataQueueError("what runs on the queue's own loop cannot wait for it: make it a `def`")
        with self._submitting:
            if self._is_ended:
                raise closed()
            answer = self._submit(what(self.queue))
        try:
            return answer.result()
        except CancelledError:
            raise closed() from None
        except BaseException:
            # An interrupt of this thread: nobody waits for the answer any longer.
            answer.cancel()
            raise

    def close(self) -> None:
        """Close the queue; whoever still waits for an answer then hears that it is closed."""
        with self._submitting:
            if self._is_ended:
                return
            self._is_ended = True
            closing = self._submit(self._wind_up())
        closing.result()
        self._end()

    def forsake(self) -> None:
        """In the child of a fork, where its thread is not: whoever still has hold of it hears that it is closed."""
        self._submitting = threading.Lock()
        self._is_ended = True

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _wind_up(self) -> None:
        await self.queue.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def closed() -> DataQueueError:
    return DataQueueError("this SyncQueue is closed")
