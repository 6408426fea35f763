"""Everything Redis holds for us, behind one pool."""

from __future__ import annotations

from dataqueue.clock import Clock
from dataqueue.storage.answers import Pool
from dataqueue.storage.redis.api_keys import RedisKeyStore
from dataqueue.storage.redis.durability import insist_on_serving, risks, told_by
from dataqueue.storage.redis.event_tail import RedisEventTail
from dataqueue.storage.redis.events import RedisEventLog
from dataqueue.storage.redis.job_types import RedisJobTypeStore
from dataqueue.storage.redis.jobs import RedisJobStore
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.notifier import RedisNotifier
from dataqueue.storage.redis.server import Server
from dataqueue.storage.redis.steps import RedisStepLog
from dataqueue.storage.redis.tally import RedisTally
from dataqueue.storage.redis.tickets import RedisTicketStore
from dataqueue.storage.redis.tokens import RedisTokenStore
from dataqueue.storage.redis.upkeep import RedisUpkeep
from dataqueue.storage.redis.workers import RedisWorkerRegistry


class RedisStorage:
    """See `storage.port.Storage`."""

    def __init__(self, url: str, *, listen_url: str | None, pool_size: int, patience: float, clock: Clock) -> None:
        self.server = Server(url, pool_size=pool_size, patience=patience, clock=clock)
        self._namespaces = Namespaces(self.server)
        self._job_stores: dict[str, RedisJobStore] = {}
        self._event_logs: dict[str, RedisEventLog] = {}
        self.keys = RedisKeyStore(self.server)
        self.tickets = RedisTicketStore(self.server)
        self.upkeep = RedisUpkeep(self.server, self._namespaces)
        self.notifier = RedisNotifier(self.server, url, listen_url)

    @property
    def pool(self) -> Pool:
        return self.server.pool

    def jobs(self, namespace: str) -> RedisJobStore:
        if namespace not in self._job_stores:
            self._job_stores[namespace] = RedisJobStore(self.server, self._namespaces, namespace)
        return self._job_stores[namespace]

    def steps(self, namespace: str) -> RedisStepLog:
        return RedisStepLog(self.server, namespace)

    def tokens(self, namespace: str) -> RedisTokenStore:
        return RedisTokenStore(self.server, self._namespaces, namespace)

    def events(self, namespace: str) -> RedisEventLog:
        if namespace not in self._event_logs:
            self._event_logs[namespace] = RedisEventLog(self.server, namespace)
        return self._event_logs[namespace]

    def tail(self) -> RedisEventTail:
        return RedisEventTail(self.server)

    def job_types(self, namespace: str) -> RedisJobTypeStore:
        return RedisJobTypeStore(self.server, self._namespaces, namespace)

    def tally(self, namespace: str) -> RedisTally:
        return RedisTally(self.server, namespace)

    def workers(self, namespace: str) -> RedisWorkerRegistry:
        return RedisWorkerRegistry(self.server, self._namespaces, namespace)

    async def check(self) -> list[str]:
        warnings: dict[str, None] = {}
        for reply in await self.server.ask_each("INFO"):
            info = told_by(reply)
            insist_on_serving(info)
            warnings |= dict.fromkeys(risks(info))
        # Whether we may run scripts, and reach the node of what belongs to no namespace.
        await self.keys.any_exist()
        return [*warnings]

    async def close(self) -> None:
        await self.server.close()
