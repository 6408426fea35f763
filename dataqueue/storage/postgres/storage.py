"""Everything PostgreSQL holds for us, behind one pool."""

from __future__ import annotations

from functools import cached_property

from dataqueue.clock import Clock
from dataqueue.errors import StorageNotReady
from dataqueue.storage.answers import Pool
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.events import PostgresEventLog, PostgresEventTail
from dataqueue.storage.postgres.job_types import PostgresJobTypeStore
from dataqueue.storage.postgres.jobs import PostgresJobStore
from dataqueue.storage.postgres.keys import PostgresKeyStore
from dataqueue.storage.postgres.migrating import head_revision
from dataqueue.storage.postgres.namespaces import Namespaces
from dataqueue.storage.postgres.notifier import PostgresNotifier
from dataqueue.storage.postgres.steps import PostgresStepLog
from dataqueue.storage.postgres.tally import PostgresTally
from dataqueue.storage.postgres.tickets import PostgresTicketStore
from dataqueue.storage.postgres.tokens import PostgresTokenStore
from dataqueue.storage.postgres.upkeep import PostgresUpkeep
from dataqueue.storage.postgres.workers import PostgresWorkerRegistry


class PostgresStorage:
    """See `storage.port.Storage`."""

    def __init__(self, url: str, *, listen_url: str | None, pool_size: int, patience: float, clock: Clock) -> None:
        self.database = Database(url, pool_size=pool_size, patience=patience, clock=clock)
        self._namespaces = Namespaces(self.database)
        self._job_stores: dict[str, PostgresJobStore] = {}
        self._event_logs: dict[str, PostgresEventLog] = {}
        self.keys = PostgresKeyStore(self.database)
        self.tickets = PostgresTicketStore(self.database, self._namespaces)
        self.upkeep = PostgresUpkeep(self.database, self._namespaces)
        self.notifier = PostgresNotifier(self.database, listen_url or url)

    @property
    def pool(self) -> Pool:
        return self.database.connections

    def jobs(self, namespace: str) -> PostgresJobStore:
        if namespace not in self._job_stores:
            self._job_stores[namespace] = PostgresJobStore(self.database, self._namespaces, namespace)
        return self._job_stores[namespace]

    def steps(self, namespace: str) -> PostgresStepLog:
        return PostgresStepLog(self.database, self._namespaces, namespace)

    def tokens(self, namespace: str) -> PostgresTokenStore:
        return PostgresTokenStore(self.database, self._namespaces, namespace)

    def events(self, namespace: str) -> PostgresEventLog:
        if namespace not in self._event_logs:
            self._event_logs[namespace] = PostgresEventLog(self.database, self._namespaces, namespace)
        return self._event_logs[namespace]

    def tail(self) -> PostgresEventTail:
        return PostgresEventTail(self.database, self._namespaces)

    def job_types(self, namespace: str) -> PostgresJobTypeStore:
        return PostgresJobTypeStore(self.database, self._namespaces, namespace)

    def tally(self, namespace: str) -> PostgresTally:
        return PostgresTally(self.database, self._namespaces, namespace)

    def workers(self, namespace: str) -> PostgresWorkerRegistry:
        return PostgresWorkerRegistry(self.database, self._namespaces, namespace)

    async def check(self) -> list[str]:
        [state] = await self.database.run("upkeep/check")
        if state.is_standby:
            raise StorageNotReady("the database is a standby: point DATAQUEUE_URL at the primary")
        if state.revision != self._head:
            raise StorageNotReady(
                f"the schema is at revision {state.revision}, we need {self._head}: run `dataqueue migrate`"
            )
        if (state.plan_cache_mode, state.jit) != ("force_custom_plan", "off"):
            raise StorageNotReady(
                "sessions must run with plan_cache_mode=force_custom_plan and jit=off:"
                " run `dataqueue migrate` as this role"
            )
        return []

    @cached_property
    def _head(self) -> str:
        return head_revision()

    async def close(self) -> None:
        await self.database.close()
