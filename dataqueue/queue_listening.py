"""How a program listens to a queue."""

from __future__ import annotations

from dataqueue.listeners import Listener, Listeners
from dataqueue.queue_events import EventKind


class QueueListening:
    """The part of a `Queue` that tells what it does."""

    _listeners: Listeners

    def on(self, event: EventKind, listener: Listener) -> None:
        """Tell a function, `def` or `async def`, of what this queue and its processors do: see `JobEvent`.

        Told once the storage has confirmed it. `queue:error` (or `error`) is what goes wrong without a caller to hear
        of it: see `ErrorEvent`. No listener disturbs the queue or another listener.
        """
        self._listeners.add(event, listener)

    def once(self, event: EventKind, listener: Listener) -> None:
        """As `on`, for the next such event alone."""
        self._listeners.add(event, listener, once=True)

    def off(self, event: EventKind, listener: Listener) -> None:
        """Tell that function nothing more."""
        self._listeners.remove(event, listener)

    def remove_all_listeners(self, event: EventKind | None = None) -> None:
        """Tell nobody of this event any more, or of any."""
        self._listeners.remove_all(event)
