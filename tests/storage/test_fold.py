"""Counts are exact at any moment: after whatever happened to the jobs, folded or not, by however many at once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, TagMode
from dataqueue.domain.job import Failure, JobStatus, Lease
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.errors import IllegalTransition, NotFound
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.storage.counted import assert_what_was_counted_is_there, counts
from tests.storage.given import (
    FOR_GOOD,
    FOR_NOW,
    HOUR,
    LEASE,
    NAMESPACE,
    SECOND,
    claim,
    given_claimed_job,
    given_job,
    new_job,
)

TYPES: Final = ("a", "b", "dead")
TAG_SETS: Final[tuple[tuple[str, ...], ...]] = ((), ("x",), ("x", "y"), ("z",), ("x", "y", "z"), ("y",))
_namespaces = itertools.count()


class Mover:
    """Does something to the jobs of one namespace, as a number says."""

    def __init__(self, storage: Storage, clock: ManualClock, namespace: str) -> None:
        self.storage, self.clock, self.namespace = storage, clock, namespace
        self.jobs = storage.jobs(namespace)
        self.ids: list[Any] = []
        self.leases: list[Lease] = []

    async def enqueue(self, n: int) -> None:
        dead = "dead" if n % 5 == 0 else None
        new = [
            new_job(job_type=TYPES[n % 2], tags=TAG_SETS[(n + i) % len(TAG_SETS)], max_attempts=1 + n % 2,
                    dead_letter_job_type=dead, delay=SECOND if n % 7 == 0 else None)
            for i in range(1 + n % 4)
        ]  # fmt: skip
        await self.jobs.enqueue([new])
        self.ids += [job.id for job in new]

    async def claim(self, n: int) -> None:
        self.leases += [job.lease for job in await claim(self.jobs, *TYPES, limit=1 + n % 5)]

    async def complete(self, n: int) -> None:
        await self.jobs.complete(self._take(n), outputs=[None] * len(self._last))

    async def fail(self, n: int) -> None:
        failures: list[Failure] = [FOR_NOW if (n + i) % 2 else FOR_GOOD for i in range(len(self._take(n)))]
        await self.jobs.fail(self._last, failures=failures)

    async def release(self, n: int) -> None:
        await self.jobs.release(self._take(n))

    async def reclaim(self, n: int) -> None:
        self.clock.advance(LEASE + SECOND)
        await self.storage.upkeep.reclaim(limit=1 + n, max_crashes=n % 2)

    async def stage(self, n: int) -> None:
        self.clock.advance(timedelta(seconds=n))
        await self.storage.upkeep.stage(limit=1 + n)

    async def cancel(self, n: int) -> None:
        await self._one(self.jobs.cancel, n)

    async def retry(self, n: int) -> None:
        await self._one(self.jobs.retry, n)

    async def delete(self, n: int) -> None:
        await self._one(self.jobs.delete, n)

    async def edit(self, n: int) -> None:
        async def relabel(job_ids: list[Any]) -> None:
            await self.jobs.edit(job_ids, JobEdit(tags=TAG_SETS[n % len(TAG_SETS)], priority=n))

        await self._one(relabel, n)

    async def sweep(self, n: int) -> None:
        verb = (Verb.CANCEL, Verb.RETRY, Verb.DELETE, Verb.EDIT)[n % 4]
        matching = JobFilter(job_types=(TYPES[n % 3],)) if n % 2 else JobFilter(tags=("x",), tag_mode=TagMode.ALL)
        edit = JobEdit(tags=TAG_SETS[n % len(TAG_SETS)]) if verb is Verb.EDIT else None
        await self.jobs.sweep(verb, matching, before=None, limit=1 + n % 3, edit=edit)

    async def prune(self, n: int) -> None:
        self.clock.advance(HOUR)
        kept = {"completed": HOUR, "failed": HOUR * (n % 3), "cancelled": HOUR * (n % 2)}
        await self.storage.upkeep.prune(Retention(**kept), limit=1 + n % 4, namespace=self.namespace)

    async def fold(self, n: int) -> None:
        await self.storage.upkeep.fold_counts(limit=1 + n)

    async def fold_twice_at_once(self, n: int) -> None:
        await asyncio.gather(*(self.storage.upkeep.fold_counts(limit=1 + n % 9) for _ in range(2)))

    async def look(self, _: int) -> None:
        await assert_what_was_counted_is_there(self.storage, self.namespace)

    def _take(self, n: int) -> list[Lease]:
        taken = self.leases[: 1 + n % 3]
        self.leases, self._last = self.leases[1 + n % 3 :], taken
        return taken

    async def _one(self, verb: Callable[[list[Any]], Awaitable[None]], n: int) -> None:
        try:
            if self.ids:
                await verb([self.ids[n % len(self.ids)]])
        except (IllegalTransition, NotFound):
            pass


ACTIONS: Final = tuple(name for name in vars(Mover) if not name.startswith("_"))
OFTEN: Final = ("enqueue", "claim", "fail", "cancel", "delete", "fold") * 2
_steps = st.lists(st.tuples(st.sampled_from(ACTIONS + OFTEN), st.integers(0, 30)), min_size=30, max_size=80)


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking so many steps takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(_steps)
async def test_whatever_happened_the_counts_are_what_listing_all_jobs_says(
    storage: Storage, clock: ManualClock, steps: list[tuple[str, int]]
) -> None:
    namespace = f"n{next(_namespaces)}"
    await storage.keys.create(
        name="k", namespace=namespace, scopes=frozenset(), digest=namespace.encode(), prefix="dq_"
    )
    mover = Mover(storage, clock, namespace)
    for action, number in steps:
        await getattr(mover, action)(number)
    await mover.look(0)
    while await storage.upkeep.fold_counts(limit=1000):
        pass
    await mover.look(0)


async def test_what_is_taken_away_again_is_not_counted_for_ever(storage: Storage) -> None:
    job = await given_job(storage, job_type="a", tags=("x",), status=JobStatus.CANCELLED)
    await storage.upkeep.fold_counts(limit=100)
    await storage.jobs(NAMESPACE).delete([job.id])
    assert await storage.tally(NAMESPACE).tags(prefix="", after=None, limit=10) == []
    await storage.upkeep.fold_counts(limit=100)
    assert await storage.tally(NAMESPACE).tags(prefix="", after=None, limit=10) == []
    assert await storage.job_types(NAMESPACE).page(after=None, limit=10) == []
    again = await given_job(storage, job_type="a", tags=("x",))
    assert (await storage.tally(NAMESPACE).tag("x")).counts == counts(pending=1)
    await storage.upkeep.fold_counts(limit=100)
    assert (await storage.tally(NAMESPACE).tag("x")).counts == counts(pending=1)
    assert again.tags == ("x",)


async def test_counts_add_up_while_many_work_and_several_fold(storage_url: str, live_storage: Storage) -> None:
    """Each look is one act: between any two jobs' moves it sees as many jobs as there are."""
    jobs, total, stop = live_storage.jobs(NAMESPACE), 300, asyncio.Event()
    others = [open_storage(storage_url) for _ in range(2)]
    for start in range(0, total, 50):
        new = [new_job(job_type="ab"[n % 2], tags=("x", f"t{n % 7}")) for n in range(start, start + 50)]
        await jobs.enqueue([new])

    async def work(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            claimed = await claim(jobs, "a", "b", limit=chance.randrange(1, 8), worker_id=f"w{seed}")
            leases = [job.lease for job in claimed]
            if chance.random() < 0.5:
                await jobs.complete(leases, outputs=[None] * len(leases))
            elif chance.random() < 0.5:
                await jobs.release(leases)
            else:
                await jobs.fail(leases, failures=[FOR_GOOD] * len(leases))
                await jobs.retry([lease.job_id for lease in leases[:3]])

    async def fold(storage: Storage) -> None:
        while not stop.is_set():
            await storage.upkeep.fold_counts(limit=7)

    tasks = [asyncio.create_task(task) for task in (*map(work, range(4)), *map(fold, [live_storage, *others]))]
    try:
        for _ in range(60):
            assert sum((await live_storage.tally(NAMESPACE).stats()).by_status.values()) == total
            assert sum((await others[0].tally(NAMESPACE).tag("x")).counts.values()) == total
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    await assert_what_was_counted_is_there(live_storage, NAMESPACE)
    while await live_storage.upkeep.fold_counts(limit=10_000):
        pass
    await assert_what_was_counted_is_there(live_storage, NAMESPACE)
    for other in others:
        await other.close()


async def test_counts_of_namespaces_are_apart(storage: Storage) -> None:
    await storage.keys.create(name="k", namespace="other", scopes=frozenset(), digest=b"k", prefix="dq_")
    await storage.jobs("other").enqueue([[new_job(job_type="a", tags=("x",)) for _ in range(2)]])
    await given_claimed_job(storage, job_type="a", tags=("x",))
    for _ in range(2):
        assert (await storage.tally("other").stats()).by_type == {"a": counts(pending=2)}
        assert (await storage.tally(NAMESPACE).stats()).by_type == {"a": counts(processing=1)}
        assert (await storage.tally("other").tag("x")).counts == counts(pending=2)
        assert (await storage.tally(NAMESPACE).tag("x")).counts == counts(processing=1)
        assert (await storage.tally("nowhere").stats()).by_type == {}
        await storage.upkeep.fold_counts(limit=100)
