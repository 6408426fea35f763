"""Hearing what a worker does, for whoever runs one inside a program of their own."""

from __future__ import annotations

from typing import Protocol

from dataqueue.domain.job import Failure, Json
from dataqueue.processing.leases import Held


class Observer(Protocol):
    """Told of what a worker has done, each after the storage has confirmed it. On the worker's loop; must not block."""

    def started(self, held: Held) -> None: ...
    def completed(self, held: Held, output: Json | None) -> None: ...
    def failed(self, held: Held, failure: Failure) -> None: ...
    def cancelled(self, held: Held) -> None: ...
    def troubled(self, error: Exception, *, source: str) -> None:
        """Something went wrong around the handlers; it is being dealt with. `source`: what was being done."""
        ...
