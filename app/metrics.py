"""What an API process tells Prometheus: of itself, and of one namespace of the storage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client.metrics_core import Metric

from dataqueue.domain.counts import Counts, Stats
from dataqueue.domain.job import JobStatus
from dataqueue.errors import NotFound, StorageNotReady, StorageUnavailable
from dataqueue.metrics.counting import MOST_TYPES, OTHER, PerType
from dataqueue.metrics.families import Source, counter, exposition, gauge, of_pool, of_this_process
from dataqueue.metrics.loop_lag import LoopLag
from dataqueue.storage.port import Storage
from dataqueue.streaming.hub import EventHub

_PATIENCE: Final = 3.0  # a scrape is given up after ten seconds, and the process's own metrics are worth having


class _Count:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


def of_hub(hub: EventHub[Any]) -> Source:
    """The event stream of this process."""

    def families() -> Iterable[Metric]:
        yield gauge("event_streams", "Event streams that are open.", (), {(): hub.followers})
        meaning = "For how long the newest events have been held back by a transaction that is open; 0: they are not."
        yield gauge("event_delay_seconds", meaning, (), {(): hub.delay})
        yield counter("events_told", "Events that some stream was told of.", (), {(): hub.events_told})
        yield counter("event_streams_cut", "Event streams ended because they fell behind.", (), {(): hub.cut_off})

    return families


class Metrics:
    """Others add what they count to `sources`: anything that answers metrics when it is called.

    Job types are told of the caller's namespace alone; all else is of the process, and names nothing of anybody.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._created: dict[str, PerType[_Count]] = {}
        self.lag = LoopLag()
        self.sources: list[Source] = [of_this_process(), of_pool(storage), self.lag.families]

    def creations_in(self, namespace: str) -> Callable[[str], None]:
        """To be told the type of each job that was created in a namespace."""
        created = self._created.setdefault(namespace, PerType(_Count))

        def count(job_type: str) -> None:
            created[job_type].value += 1

        return count

    async def text(self, namespace: str, *, also: Iterable[Source] = ()) -> bytes:
        """Everything, as Prometheus reads it."""
        stored = await self._stored(namespace)
        return exposition([*self.sources, *also, lambda: self._enqueued(namespace), lambda: stored])

    def _enqueued(self, namespace: str) -> Iterable[Metric]:
        created: Mapping[str, _Count] = self._created.get(namespace, {})
        meaning = "Jobs created through this process in your namespace; repeats of an idempotency key are none."
        yield counter("jobs_enqueued", meaning, ("job_type",), {(name,): of.value for name, of in created.items()})

    async def _stored(self, namespace: str) -> list[Metric]:
        is_up, stats = 1, None
        try:
            async with asyncio.timeout(_PATIENCE):
                stats = await self._storage.tally(namespace).stats()
        except (StorageUnavailable, StorageNotReady, TimeoutError):
            is_up = 0
        except NotFound:
            pass  # a namespace that nobody has made yet
        up = gauge("storage_up", "Whether the storage answered this scrape.", (), {(): is_up})
        return [up] if stats is None else [up, *_of_stats(stats)]


def _of_stats(stats: Stats) -> Iterable[Metric]:
    by_type = _bounded(stats.by_type)
    jobs = {(status.value, name): counts[status] for name, counts in by_type.items() for status in JobStatus}
    yield gauge("jobs", "Jobs there are, in your namespace.", ("status", "job_type"), jobs)
    meaning = "Age of the oldest job that could be claimed, in your namespace; 0: there is none."
    yield gauge("oldest_ready_age_seconds", meaning, (), {(): stats.oldest_ready_age or 0.0})
    hour = {("added",): stats.added, ("completed",): stats.completed, ("failed",): stats.failed}
    meaning = "What the last hour brought in your namespace: sixty full minutes, and this one so far."
    yield gauge("jobs_last_hour", meaning, ("event",), hour)


def _bounded(by_type: Mapping[str, Counts]) -> Mapping[str, Counts]:
    """The first by name, the others added up: every process of a deployment leaves out the same."""
    names = sorted(by_type)
    bounded = {name: by_type[name] for name in names[:MOST_TYPES]}
    if left := [by_type[name] for name in names[MOST_TYPES:]]:
        bounded[OTHER] = {status: sum(counts[status] for counts in left) for status in JobStatus}
    return bounded
