"""A claim whose reply never came strands no job: the worker gives back what it does not know of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dataqueue import HandlerRegistry
from dataqueue.domain.events import EventName
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Storage
from tests.processing.a_worker import Meddled, a_worker, completed, enqueue
from tests.storage.given import LEASE, NAMESPACE, told

Open = Callable[[], Storage]


class Belated(Meddled):
    """Its first claim is cut before it commits, and commits after the first recall."""

    def jobs(self, namespace: str) -> Any:
        jobs, real = super().jobs(namespace), self._storage.jobs(namespace)
        claim, recall = jobs.claim, jobs.recall

        async def cut(*args: Any, **kwargs: Any) -> Any:
            if not self.calls["claim"]:
                self.calls["claim"] += 1
                raise StorageUnavailable("cut", outcome_unknown=True)
            return await claim(*args, **kwargs)

        async def recall_then_commit(*args: Any, **kwargs: Any) -> Any:
            found = await recall(*args, **kwargs)
            if self.calls["recall"] == 1:
                self.taken = await real.claim(["mail"], limit=10, worker_id="ann", lease=LEASE)
            return found

        jobs.claim, jobs.recall = cut, recall_then_commit
        return jobs


async def test_a_claim_that_commits_after_the_first_recall_is_given_back_without_a_crash(
    live_storage: Storage, registry: HandlerRegistry, open_another: Open
) -> None:
    @registry.handler("mail")
    async def send() -> None: ...

    job_ids = await enqueue(live_storage, "mail", 5)
    storage = Belated(live_storage)
    async with a_worker(storage, registry, open_storage=open_another):
        await completed(live_storage, job_ids)
    assert len(storage.taken) == 5
    for job_id in job_ids:
        job = await live_storage.jobs(NAMESPACE).get(job_id)
        assert (job.attempts, job.crashes) == (1, 0)
        assert await told(live_storage, job_id) == [
            EventName.ADDED,
            EventName.PROCESSING,
            EventName.RELEASED,
            EventName.PROCESSING,
            EventName.COMPLETED,
        ]
