"""What a storage does, one Protocol per noun. Every backend passes the same suite.

A store is bound to one namespace and cannot see another. No method takes an instant: the storage's clock
decides. Many is the primitive, one is many of one. Errors are those of `dataqueue.errors`; a broken
connection is `StorageUnavailable` everywhere.
"""

from __future__ import annotations

from typing import Protocol

from dataqueue.storage.answers import Pool
from dataqueue.storage.port.durable import StepLog, TokenStore
from dataqueue.storage.port.events import EventLog, EventTail, TicketStore
from dataqueue.storage.port.hints import LISTENING, Hint, Notifier
from dataqueue.storage.port.jobs import JobStore
from dataqueue.storage.port.operating import LIVE_FOR, JobTypeStore, KeyStore, Tally, WorkerRegistry
from dataqueue.storage.port.upkeep import Upkeep

__all__ = [
    "LISTENING",
    "LIVE_FOR",
    "EventLog",
    "EventTail",
    "Hint",
    "JobStore",
    "JobTypeStore",
    "KeyStore",
    "Notifier",
    "StepLog",
    "Storage",
    "Tally",
    "TicketStore",
    "TokenStore",
    "Upkeep",
    "WorkerRegistry",
]


class Storage(Protocol):
    """Everything one backend holds."""

    @property
    def keys(self) -> KeyStore: ...
    @property
    def tickets(self) -> TicketStore: ...
    @property
    def upkeep(self) -> Upkeep: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def pool(self) -> Pool:
        """The connections that this storage shares out among its stores, listening ones left out. From any thread."""
        ...

    def jobs(self, namespace: str) -> JobStore:
        """The jobs of a namespace. Unknown names hold nothing, and enqueueing into one is NotFound."""
        ...

    def steps(self, namespace: str) -> StepLog: ...
    def tokens(self, namespace: str) -> TokenStore: ...
    def events(self, namespace: str) -> EventLog: ...

    def tail(self) -> EventTail:
        """One's own, to follow the logs with."""
        ...

    def job_types(self, namespace: str) -> JobTypeStore: ...
    def tally(self, namespace: str) -> Tally: ...
    def workers(self, namespace: str) -> WorkerRegistry: ...

    async def check(self) -> list[str]:
        """Whether this storage can serve: StorageUnavailable, or StorageNotReady saying what to run.

        Answers in sentences what about its configuration may make it lose jobs, and what to do about it.
        """
        ...

    async def close(self) -> None: ...
