"""Jobs in whatever state a test needs, brought there through the port, and looks at what became of them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import Event, EventName
from dataqueue.domain.job import Failure, Job, JobStatus, Lease, NewJob, Reported
from dataqueue.domain.steps import NewStep, Step, Wait
from dataqueue.domain.tokens import NewToken, Token
from dataqueue.ids import new_id
from dataqueue.storage.backend import Backend
from dataqueue.storage.port import JobStore, Storage

NAMESPACE: Final = "default"
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
LEASE: Final = timedelta(seconds=30)
MAX_CRASHES: Final = 3
FOR_GOOD: Final = Failure("it cannot be done")
FOR_NOW: Final = Failure("it did not work", retry_after=MINUTE)
AN_HOUR: Final = Wait(name="an hour", delay=HOUR)
FOLDS: Final = {Backend.POSTGRES: True, Backend.REDIS: False}
"""Whether changes are noted first and added to the counts later: in Redis what is listed is counted as it is."""
REACHABLE: Final = tuple(JobStatus)
"""The statuses that the port leads to."""

T = TypeVar("T")
_numbers = itertools.count()


def a_type() -> str:
    """A job type that no other job has, so that claiming it finds nothing else."""
    return f"type-{next(_numbers)}"


def new_job(**fields: Any) -> NewJob:
    return NewJob(**{"id": new_id(), "job_type": a_type(), **fields})


async def given_job(storage: Storage, *, status: JobStatus = JobStatus.PENDING, **fields: Any) -> Job:
    """A job as read, enqueued with `fields` and led to `status`."""
    job, _ = await given_job_and_lease(storage, status=status, **fields)
    return job


async def given_job_and_lease(storage: Storage, *, status: JobStatus, **fields: Any) -> tuple[Job, Lease]:
    """Besides the job the lease it was led there by, or, if no worker ever had it, one that nobody was given."""
    jobs, job = storage.jobs(NAMESPACE), new_job(**fields)
    await jobs.enqueue([[job]])
    lease = Lease(job.id, 1)
    match status:
        case JobStatus.PENDING:
            pass
        case JobStatus.PROCESSING:
            await claim_this(jobs, job)
        case JobStatus.COMPLETED:
            lease = (await claim_this(jobs, job)).lease
            assert await jobs.complete([lease], outputs=[None]) == [Reported.OK]
        case JobStatus.FAILED:
            lease = (await claim_this(jobs, job)).lease
            assert await jobs.fail([lease], failures=[FOR_GOOD]) == [Reported.OK]
        case JobStatus.CANCELLED:
            await jobs.cancel([job.id])
        case JobStatus.WAITING:
            lease = (await claim_this(jobs, job)).lease
            assert await jobs.suspend([lease], waits=[[AN_HOUR]]) == [Reported.OK]
    found = await jobs.get(job.id)
    assert found.status is status
    return found, lease


async def given_claimed_job(storage: Storage, *, worker_id: str = "ann", **fields: Any) -> ClaimedJob:
    """A job in the hands of a worker."""
    jobs, job = storage.jobs(NAMESPACE), new_job(**fields)
    await jobs.enqueue([[job]])
    return await claim_this(jobs, job, worker_id=worker_id)


async def given_claimed_jobs(storage: Storage, count: int, **fields: Any) -> list[ClaimedJob]:
    """Jobs of one type in the hands of one worker, in the order they were enqueued."""
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    await jobs.enqueue([[new_job(job_type=job_type, **fields) for _ in range(count)]])
    claimed = await claim(jobs, job_type, limit=count + 1)
    assert len(claimed) == count
    return claimed


async def claim(
    jobs: JobStore, *job_types: str, limit: int = 100, worker_id: str = "ann", lease: timedelta = LEASE
) -> list[ClaimedJob]:
    return await jobs.claim(job_types, limit=limit, worker_id=worker_id, lease=lease)


async def claim_this(jobs: JobStore, job: NewJob | Job | ClaimedJob, *, worker_id: str = "ann") -> ClaimedJob:
    """Claim the one ready job of its type."""
    [claimed] = await claim(jobs, job.job_type, worker_id=worker_id)
    assert claimed.id == job.id
    return claimed


def a_wait_for(token: Token | UUID, *, name: str = "approve") -> Wait:
    return Wait(name=name, token_id=token if isinstance(token, UUID) else token.id)


async def given_token(storage: Storage, **fields: Any) -> Token:
    """A token that belongs to no job."""
    [token] = await storage.tokens(NAMESPACE).create([NewToken(**{"id": new_id(), **fields})])
    return token


async def given_token_of(storage: Storage, lease: Lease, *, name: str = "ask", **fields: Any) -> Token:
    """A token that the holder of a lease makes for its job."""
    new = NewToken(**{"id": new_id(), **fields})
    assert await save(storage, lease, NewStep(name=name, token=new)) is not None
    return await storage.tokens(NAMESPACE).get(new.id)


async def given_waiting_job(storage: Storage, *waits: Wait, **fields: Any) -> ClaimedJob:
    """A job that a worker had and that waits now."""
    held = await given_claimed_job(storage, **fields)
    assert await storage.jobs(NAMESPACE).suspend([held.lease], waits=[waits]) == [Reported.OK]
    assert (await storage.jobs(NAMESPACE).get(held.id)).status is JobStatus.WAITING
    return held


async def save(storage: Storage, lease: Lease, *steps: NewStep) -> Step | None:
    """Store steps of one lease; what then stands under the name of the last."""
    return (await storage.steps(NAMESPACE).save([(lease, step) for step in steps]))[-1]


async def events_of(storage: Storage, job_id: UUID) -> list[Event]:
    return await storage.events(NAMESPACE).of_job(job_id, after=0, limit=1000)


async def steps_of(storage: Storage, job_id: UUID, *, namespace: str = NAMESPACE) -> list[Step]:
    """The step log of a job."""
    [steps] = await storage.steps(namespace).of_jobs([job_id])
    return steps


async def told(storage: Storage, job_id: UUID) -> list[EventName]:
    """The names of a job's events, in order."""
    return [event.event for event in await events_of(storage, job_id)]


async def data_of_last(storage: Storage, job_id: UUID) -> Any:
    return json.loads((await events_of(storage, job_id))[-1].data)


async def eventually(description: str, look: Callable[[], Awaitable[T | None]], *, seconds: float = 10) -> T:
    """Look until there is something to see."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while (seen := await look()) is None:
        assert loop.time() < give_up, f"waited {seconds} s in vain until {description}"
        await asyncio.sleep(0.01)
    return seen
