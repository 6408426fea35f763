"""Two storages, one in PostgreSQL and one in Redis, that are told the same and must answer the same."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EVERYTHING, EventFilter, EventName
from dataqueue.domain.filters import JobFilter, TagMode
from dataqueue.domain.job import Job
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.domain.steps import Step
from dataqueue.errors import DataQueueError
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.storage.durable_model import KnownStep
from tests.storage.queue_model import BURIAL, Known

OF_THE_BACKEND: Final = {"seq", "namespace"}
OF_TOKENS: Final = (EventName.TOKEN_CREATED, EventName.TOKEN_COMPLETED, EventName.TOKEN_EXPIRED)

T = TypeVar("T")
_numbers = itertools.count()


class Twins:
    """Two storages that go by one clock; an answer is the answer of both."""

    def __init__(self, *urls: str) -> None:
        self.clock = ManualClock()
        self._loop = asyncio.new_event_loop()
        self._storages = [open_storage(url, clock=self.clock) for url in urls]
        self.namespace = ""
        self.names: dict[UUID, str] = {}

    def begin_anew(self) -> None:
        """In a namespace that neither has ever seen."""
        self.namespace, self.names = f"history-{next(_numbers)}", {}
        self.ask(self._make_namespace)

    def ask(self, what: Callable[[Storage], Awaitable[T]]) -> T:
        """What both answer, or raise; it must be the same."""
        first, second = (self._loop.run_until_complete(self._answer(what, storage)) for storage in self._storages)
        assert self.normal(first) == self.normal(second)
        if isinstance(first, DataQueueError):
            raise first
        return first

    def ask_each(self, what: Callable[[Storage], Awaitable[T]]) -> list[T]:
        return [self._loop.run_until_complete(what(storage)) for storage in self._storages]

    def normal(self, value: Any) -> Any:
        """Without what each backend may choose for itself: the order of enqueue as a number, ids of dead letters."""
        match value:
            case UUID():
                return self.names.get(value, value)
            case Job():
                kept = {one.name: self.normal(getattr(value, one.name)) for one in fields(value)}
                if value.job_type == BURIAL:
                    kept["payload"] = json.loads(value.payload)
                kept["error_history"] = json.loads(value.error_history)
                return {name: one for name, one in kept.items() if name not in OF_THE_BACKEND}
            case list() | tuple():
                return [self.normal(one) for one in value]
            case Exception():
                return type(value)
            case _:
                return value

    def close(self) -> None:
        self.ask_each(lambda storage: storage.close())
        self._loop.close()

    async def _make_namespace(self, storage: Storage) -> None:
        await storage.keys.create(
            name="k", namespace=self.namespace, scopes=frozenset(), digest=self.namespace.encode(), prefix="dq"
        )

    @staticmethod
    async def _answer(what: Callable[[Storage], Awaitable[T]], storage: Storage) -> T | DataQueueError:
        try:
            return await what(storage)
        except DataQueueError as error:
            return error


def name_of(job: Known) -> Any:
    return job.id or f"dead letter {job.seq}"


def fits(job: Known, matching: JobFilter) -> bool:
    wanted, has = set(matching.tags), set(job.tags)
    in_mode = {
        TagMode.ALL: wanted <= has,
        TagMode.ANY: bool(wanted & has),
        TagMode.EXACT: wanted == has,
        TagMode.NONE: not wanted & has,
    }
    return (not matching.job_types or job.job_type in matching.job_types) and (not wanted or in_mode[matching.tag_mode])


async def changed(storage: Storage, namespace: str, verb: Verb, job_ids: list[UUID]) -> None:
    jobs = storage.jobs(namespace)
    match verb:
        case Verb.CANCEL:
            await jobs.cancel(job_ids)
        case Verb.RETRY:
            await jobs.retry(job_ids)
        case Verb.EDIT:
            await jobs.edit(job_ids, JobEdit(priority=5))
        case _:
            await jobs.delete(job_ids)


async def staged(storage: Storage, namespace: str) -> int:
    # When the next one is due is told of all namespaces where that is what an index answers.
    return (await storage.upkeep.stage(limit=1000, namespace=namespace)).count


async def pruned(storage: Storage, namespace: str, keep: timedelta) -> int:
    retention, count = Retention(completed=keep, failed=keep, cancelled=keep), 0
    while True:
        some = await storage.upkeep.prune(retention, limit=100, namespace=namespace)
        count += some.count
        if some.is_end:
            return count


def as_step(name: str, step: KnownStep | None, twins: Twins) -> Step | None:
    """A step of the model as storages answer it."""
    if step is None:
        return None
    ended = step.ended(twins.clock.now())
    return Step(name=name, kind=step.kind, outcome=ended, value=step.value, token_id=step.token_id, until=step.until)


def steps_of(namespace: str, job_id: UUID) -> Callable[[Storage], Awaitable[list[list[Step]]]]:
    return lambda storage: storage.steps(namespace).of_jobs([job_id])


async def events_of_tokens(storage: Storage, twins: Twins) -> list[tuple[str, str, tuple[str, ...]]]:
    """What was told of tokens. In which order several expire at one instant is nobody's promise."""
    log = storage.events(twins.namespace)
    bounds, told, position = await log.bounds(), list[tuple[str, str, tuple[str, ...]]](), 0
    while position < bounds.newest:
        page = await log.page(EventFilter(events=OF_TOKENS), after=position, until=bounds.newest, limit=1000)
        position = page.position
        told += [(one.event, json.loads(one.data)["token_id"], one.tags) for one in page.events]
    return sorted(told)


async def events_by_job(storage: Storage, twins: Twins) -> dict[Any, list[tuple[Any, ...]]]:
    """What was told of each job, in order, but for its tokens."""
    log = storage.events(twins.namespace)
    bounds = await log.bounds()
    told: defaultdict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    position = 0
    while position < bounds.newest:
        page = await log.page(EVERYTHING, after=position, until=bounds.newest, limit=1000)
        position = page.position
        for event in page.events:
            if event.event in OF_TOKENS:
                continue
            data = json.loads(event.data)
            if "dead_letter_job_id" in data:
                data["dead_letter_job_id"] = twins.normal(UUID(data["dead_letter_job_id"]))
            told[twins.normal(event.job_id)].append((event.event, event.job_type, event.tags, event.at, data))
    return told
