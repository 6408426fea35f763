"""Who listens to a queue in this process, each kept apart from the queue and from the others.

A listener has a buffer and a runner of its own: a task for an `async def`, a thread for a `def`. It hears everything in
order. One that falls 1,000 events behind misses the next ones, and `queue:error` says so once.
"""

from __future__ import annotations

import asyncio
import inspect
import queue as queues
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from dataqueue.domain.events import EventName
from dataqueue.errors import Invalid
from dataqueue.queue_events import JobEvent, QueueError

log = structlog.get_logger(__name__)

ERROR: Final = "queue:error"
_ALIASES: Final = {"error": ERROR}
_TO_COME: Final = ("job:waiting", "job:resumed", "job:progress", "job:output", "job:prolonged")
NAMES: Final = frozenset({ERROR, *_TO_COME, *(name.value for name in EventName)})
_BUFFER: Final = 1000


QueueEvent = JobEvent | QueueError
Listener = Callable[[Any], object]


class Listeners:
    """The listeners of one queue, and the telling of events to them."""

    def __init__(self) -> None:
        self._of: dict[str, list[_Runner]] = {}

    def hears(self, event: str) -> bool:
        """Whether anybody listens: what nobody hears need not be made."""
        return bool(self._of.get(event))

    def add(self, event: str, listener: Listener, *, once: bool = False) -> None:
        """Invalid: there is no such event."""
        name = _known(event)
        kind = _TaskRunner if inspect.iscoroutinefunction(listener) else _ThreadRunner
        self._of.setdefault(name, []).append(kind(listener, once=once, failed=self._failed))

    def remove(self, event: str, listener: Listener) -> None:
        """Tell it nothing more; a listener that was never added is no error."""
        name = _known(event)
        for runner in [runner for runner in self._of.get(name, ()) if runner.listener == listener][:1]:
            self._of[name].remove(runner)
            runner.close()

    def remove_all(self, event: str | None = None) -> None:
        """Of one event, or of every one."""
        for name in [_known(event)] if event is not None else list(self._of):
            for runner in self._of.pop(name, ()):
                runner.close()

    def tell(self, event: QueueEvent) -> None:
        """Hand an event to whoever listens; returns at once, and raises nothing. On the loop of the queue."""
        for runner in list(self._of.get(event.event, ())):
            if runner.once:
                self._of[event.event].remove(runner)
            if not runner.hand(event) and event.event != ERROR:
                self.tell_error(OverflowError(f"a listener is {_BUFFER} events behind, and misses some"), event.event)

    def tell_error(self, error: BaseException, source: str) -> None:
        """`queue:error`, beside whatever callback is told."""
        self.tell(QueueError(error=error, source=source))

    def _failed(self, event: QueueEvent, error: BaseException) -> None:
        log.warning("listener.failed", queue_event=event.event, error=f"{type(error).__name__}: {error}"[:500])
        if event.event != ERROR:
            self.tell_error(error, f"listener of {event.event}")


class _Runner:
    """One listener, its buffer, and what runs it."""

    def __init__(self, listener: Listener, *, once: bool, failed: Callable[[QueueEvent, BaseException], None]) -> None:
        self.listener, self.once, self._failed = listener, once, failed
        self._is_behind = False

    def hand(self, event: QueueEvent) -> bool:
        """False the first time an event is lost because the listener is too far behind."""
        try:
            self._put(event)
        except (asyncio.QueueFull, queues.Full):
            was_behind, self._is_behind = self._is_behind, True
            return was_behind
        self._is_behind = False
        if self.once:
            self.close()
        return True

    def _put(self, event: QueueEvent) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


class _TaskRunner(_Runner):
    """An `async def`, in a task on the queue's loop."""

    def __init__(self, listener: Listener, *, once: bool, failed: Callable[[QueueEvent, BaseException], None]) -> None:
        super().__init__(listener, once=once, failed=failed)
        self._buffer: asyncio.Queue[QueueEvent | None] = asyncio.Queue(_BUFFER)
        self._task: asyncio.Task[None] | None = None

    def _put(self, event: QueueEvent) -> None:
        self._buffer.put_nowait(event)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        # What was handed in is still heard, if there is room to say that it was the last.
        with suppress(asyncio.QueueFull):
            self._buffer.put_nowait(None)

    async def _run(self) -> None:
        while (event := await self._buffer.get()) is not None:
            try:
                await self.listener(event)  # type: ignore[misc]  # it was found to be a coroutine function
            except Exception as error:  # noqa: BLE001 - whatever a listener raises is its own affair, and told as an event
                self._failed(event, error)


class _ThreadRunner(_Runner):
    """A `def`, in a thread: it may block as long as it likes."""

    def __init__(self, listener: Listener, *, once: bool, failed: Callable[[QueueEvent, BaseException], None]) -> None:
        super().__init__(listener, once=once, failed=failed)
        self._buffer: queues.Queue[QueueEvent | None] = queues.Queue(_BUFFER)
        self._thread: threading.Thread | None = None

    def _put(self, event: QueueEvent) -> None:
        self._buffer.put_nowait(event)
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            # A daemon: a listener that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="dataqueue-listener", daemon=True)
            self._thread.start()

    def close(self) -> None:
        with suppress(queues.Full):
            self._buffer.put_nowait(None)

    def _run(self) -> None:
        while (event := self._buffer.get()) is not None:
            try:
                self.listener(event)
            except Exception as error:  # noqa: BLE001 - as above
                # The loop may be gone by now, and with it everybody who would hear of this.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._failed, event, error)


def _known(event: str) -> str:
    name = _ALIASES.get(event, event)
    if name not in NAMES:
        raise Invalid(f"there is no event {event!r}; there are {', '.join(sorted(NAMES))}", loc=("event",))
    return name
