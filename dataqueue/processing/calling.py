"""Calling what blocks, from an event loop, in a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from dataqueue.processing.threads import ThreadPool

T = TypeVar("T")


async def in_thread_of(threads: ThreadPool, function: Callable[[], T]) -> T:
    """Call a function in a thread, in a copy of this context. Cancelling the wait does not stop it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def tell(value: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]  # of a function that returned

    def work() -> None:
        value, error = None, None
        try:
            value = context.run(function)
        except Exception as raised:  # noqa: BLE001 - it is the caller's to hear
            error = raised
        except BaseException as raised:  # noqa: BLE001 - in a task, an exit would end the loop with all its jobs
            error = RuntimeError(f"the function raised {raised!r}")
        if isinstance(error, StopIteration):
            # No future takes it.
            error = RuntimeError("the function raised StopIteration")
        # A loop that is closed needs no answer.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, value, error)

    threads.submit(work)
    return await future
