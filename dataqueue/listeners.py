"""Who listens to a queue in this process, each kept apart from the queue and from the others.

A listener hears its events in order, one at a time: an `async def` on the queue's event loop, a `def` in a thread. One
that falls 1,000 events behind misses the next ones, and `queue:error` says so once.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, get_args

import structlog

from dataqueue.errors import Invalid
from dataqueue.processing.threads import ThreadPool
from dataqueue.queue_events import ErrorEvent, EventKind, JobEvent

log = structlog.get_logger(__name__)

NAMES: Final[tuple[str, ...]] = get_args(EventKind)
_ALIASES: Final = {"error": ErrorEvent.event}
_BUFFER: Final = 1000

Listener = Callable[[Any], object]


class Listeners:
    """The listeners of one queue, and the telling of events to them. They come and go from any thread."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[_Ear, ...]] = {}
        self._changing = threading.Lock()
        self._threads = ThreadPool(name="dataqueue-listener")
        self._busy: set[_Ear] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def hears(self, event: str) -> bool:
        """Whether anybody listens: what nobody hears need not be made."""
        return event in self._of

    def add(self, event: str, listener: Listener, *, once: bool = False) -> None:
        """Invalid: there is no such event."""
        name = _known(event)
        ear = self._ear(listener, name, once=once)
        with self._changing:
            self._of[name] = (*self._of.get(name, ()), ear)

    def remove(self, event: str, listener: Listener) -> None:
        """Tell it nothing more, nor what waits for it. Added twice, it is removed once; never added, it is no error."""
        name = _known(event)
        for ear in [ear for ear in self._of.get(name, ()) if ear.listener == listener][-1:]:
            self._forget(name, ear)
            ear.cover()

    def remove_all(self, event: str | None = None) -> None:
        """Of one event, or of every one."""
        with self._changing:
            names = list(self._of) if event is None else [_known(event)]
            covered = [ear for name in names for ear in self._of.pop(name, ())]
        for ear in covered:
            ear.cover()

    def registered(self) -> list[tuple[str, Listener, bool]]:
        """Every event and who listens for it; the last says whether for the next one alone."""
        return [(name, ear.listener, ear.once) for name, ears in list(self._of.items()) for ear in ears]

    def tell(self, event: JobEvent | ErrorEvent) -> None:
        """Hand an event to whoever listens; returns at once, and raises nothing. On the loop of the queue."""
        for ear in self._of.get(event.event, ()):
            if ear.once:
                self._forget(event.event, ear)
            self._hand(ear, event, event.event)

    def tell_error(self, error: BaseException, source: str) -> None:
        """`queue:error`, beside whatever callback is told."""
        self.tell(ErrorEvent(error=error, source=source))

    def aside(self, callback: Listener, name: str) -> Callable[[object], None]:
        """Tells a callback as a listener is told, which nothing else is told to."""
        ear = self._ear(callback, name, once=False)

        return lambda value: self._hand(ear, value, name)

    async def settle(self, *, within: float) -> None:
        """Wait until what was told has been heard, for at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._quiet.wait()

    def close(self) -> None:
        """Tell nobody anything any more."""
        self.remove_all()
        for ear in list(self._busy):
            ear.cover()
            ear.let_go()
        self._threads.close()

    def _ear(self, listener: Listener, name: str, *, once: bool) -> _Ear:
        return _Ear(listener, name, once=once, threads=self._threads, failed=self._failed, busy=self._is_busy)

    def _forget(self, name: str, ear: _Ear) -> None:
        with self._changing:
            left = tuple(other for other in self._of.get(name, ()) if other is not ear)
            if left:
                self._of[name] = left
            else:
                self._of.pop(name, None)

    def _hand(self, ear: _Ear, value: object, name: str) -> None:
        try:
            if not ear.hand(value):
                self._told_too_much(name)
        # No thread can be had, say. What the queue did is done, whoever hears of it.
        except Exception:
            log.exception("listener.not_told", queue_event=name)

    def _told_too_much(self, name: str) -> None:
        log.warning("listener.behind", queue_event=name, events=_BUFFER)
        if name != ErrorEvent.event:
            self.tell_error(OverflowError(f"a listener is {_BUFFER} events behind, and misses some"), name)

    def _failed(self, name: str, error: BaseException) -> None:
        log.warning("listener.failed", queue_event=name, error=f"{type(error).__name__}: {error}"[:500])
        # What hears of errors cannot be told of its own.
        if name != ErrorEvent.event:
            self.tell_error(error, f"listener of {name}")

    def _is_busy(self, ear: _Ear, busy: bool) -> None:
        if busy:
            self._busy.add(ear)
            self._quiet.clear()
        else:
            self._busy.discard(ear)
            if not self._busy:
                self._quiet.set()


class _Ear:
    """One listener, what waits to be heard by it, and what runs it: nothing as long as nothing waits."""

    def __init__(
        self,
        listener: Listener,
        name: str,
        *,
        once: bool,
        threads: ThreadPool,
        failed: Callable[[str, BaseException], None],
        busy: Callable[[_Ear, bool], None],
    ) -> None:
        self.listener, self.once = listener, once
        self._name, self._threads, self._failed, self._busy = name, threads, failed, busy
        self._is_async = any(map(inspect.iscoroutinefunction, (listener, type(listener).__call__)))
        self._lock = threading.Lock()
        self._waiting: deque[object] = deque()
        self._is_listening = self._is_covered = self._is_behind = False
        self._task: asyncio.Task[None] | None = None

    def hand(self, event: object) -> bool:
        """False for the first event that is lost, because too many wait, since none did."""
        with self._lock:
            if self._is_covered:
                return True
            if len(self._waiting) >= _BUFFER:
                was_behind, self._is_behind = self._is_behind, True
                return was_behind
            self._waiting.append(event)
            if self._is_listening:
                return True
            self._is_listening = True
        self._busy(self, True)
        self._loop = asyncio.get_running_loop()
        if self._is_async:
            self._task = self._loop.create_task(self._listen())
        else:
            self._threads.submit(self._listen_in_thread)
        return True

    def cover(self) -> None:
        """Hear nothing more; what is being heard is heard to its end."""
        with self._lock:
            self._is_covered = True
            self._waiting.clear()

    def let_go(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _next(self) -> object | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._is_listening = self._is_behind = False
            return None

    async def _listen(self) -> None:
        try:
            while (event := self._next()) is not None:
                try:
                    await self.listener(event)  # type: ignore[misc]  # it was found to be a coroutine function
                except asyncio.CancelledError as error:
                    if self._task is not None and self._task.cancelling():
                        raise
                    self._failed(self._name, error)
                # Whatever a listener raises is its own affair; an exit would end the loop that it is called on.
                except (Exception, SystemExit) as error:  # noqa: BLE001
                    self._failed(self._name, error)
        finally:
            self._busy(self, False)

    def _listen_in_thread(self) -> None:
        while (event := self._next()) is not None:
            try:
                answer = self.listener(event)
                if inspect.iscoroutine(answer):
                    answer.close()
                    raise TypeError("the listener returned a coroutine: make it `async def`")
            except BaseException as error:  # noqa: BLE001 - as above
                self._to_loop(self._failed, self._name, error)
        self._to_loop(self._has_listened)

    def _has_listened(self) -> None:
        # Something may have been handed in since: then another thread is at it.
        self._busy(self, self._is_listening)

    def _to_loop(self, what: Callable[..., None], *args: Any) -> None:
        # A loop that is closed has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)


def _known(event: str) -> str:
    if event not in NAMES:
        raise Invalid(f"there is no event {event!r}; there are {', '.join(NAMES)}", loc=("event",))
    return _ALIASES.get(event, event)
