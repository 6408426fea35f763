"""From plain numbers to what Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dataqueue.metrics.counting import Histogram
from dataqueue.storage.port import Storage

PREFIX: Final = "dataqueue"

Source = Callable[[], Iterable[Metric]]
"""Answers metrics when a scrape asks, from whatever thread it asks in."""
L = TypeVar("L", bound=tuple[str, ...])
"""Values of labels, in the order of the labels."""


def counter(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[L, float]) -> Metric:
    """`name` without `_total`."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", meaning, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def gauge(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[L, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def histogram(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[L, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}_{name}", meaning, labels=labels)
    for of, value in values.items():
        counts, total, below = value.counts.copy(), value.total, 0
        buckets = []
        for bound, count in zip((*map(str, value.bounds), "+Inf"), counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        family.add_metric(of, buckets, total)
    return family


def exposition(sources: Iterable[Source]) -> bytes:
    """All of it as text, of `prometheus_client.exposition.CONTENT_TYPE_LATEST`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Each(sources))
    return generate_latest(registry)


def of_this_process() -> Source:
    """Its CPU time, memory, and open files, as far as the system says."""
    return ProcessCollector(namespace=PREFIX, registry=None).collect


def of_pool(storage: Storage) -> Source:
    """The connections of a storage."""

    def families() -> Iterable[Metric]:
        pool = storage.pool
        states = {("used",): pool.used, ("idle",): pool.idle}
        yield gauge("pool_connections", "Connections to the storage that are open, by state.", ("state",), states)
        yield gauge("pool_connections_most", "Connections to the storage that may be open.", (), {(): pool.most})

    return families


class _Each(Collector):
    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        for source in self._sources:
            yield from source()
