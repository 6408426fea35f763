"""How many jobs there are, without counting them (contract 1.2 and 1.3, details C23, D1, D2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dataqueue.domain.job import JobStatus

Counts = Mapping[JobStatus, int]
"""Jobs by status; every status is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagCounts:
    """A tag that some job has."""

    tag: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTypeSettings:
    """What is set for a type, for every worker and every new job; None: nothing is.

    The defaults hold for jobs that name no value of their own; the three retry fields are one choice, so naming
    one of them leaves out the others' defaults.
    """

    paused: bool = False
    max_attempts: int | None = None
    timeout_ms: int | None = None
    retry_delay: float | None = None
    retry_backoff: bool | None = None
    retry_delay_max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """A type that has jobs or settings."""

    job_type: str
    settings: JobTypeSettings
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from when a job might start (`run_at`) to its completion; read from buckets 9 % wide, so each is
    at most 4.4 % off. None: nothing was completed."""

    p50: float | None
    p95: float | None
    p99: float | None


BUCKETS_AN_OCTAVE: Final = 8
"""A bucket of latencies holds those from 2^(bucket/8) ms up to the next; the first also what took less."""


def latency_of(buckets: Mapping[int, int]) -> Latency:
    """Percentiles, by nearest rank, of latencies counted by bucket; each reads as the middle of its bucket, on the
    scale the buckets have."""
    total = sum(buckets.values())

    def percentile(percent: int) -> float | None:
        left = math.ceil(total * percent / 100)
        for bucket in sorted(buckets):
            left -= buckets[bucket]
            if left <= 0:
                return float(2.0 ** ((bucket + 0.5) / BUCKETS_AN_OCTAVE)) if total else None
        return None

    return Latency(p50=percentile(50), p95=percentile(95), p99=percentile(99))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A namespace at a glance. The last hour is the sixty full minutes before this one, and this one so far."""

    by_status: Counts
    by_type: Mapping[str, Counts]
    oldest_ready_age: float | None
    added: int
    completed: int
    failed: int
    latency: Latency
