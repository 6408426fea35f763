"""Counting, and what becomes of the counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from dataqueue.domain.job import Failure, FailureReason
from dataqueue.metrics.counting import MOST_TYPES, OTHER, Histogram, PerType
from dataqueue.metrics.families import Source, exposition, histogram, of_this_process
from dataqueue.metrics.jobs_run import JobsRun
from dataqueue.metrics.loop_lag import LoopLag
from dataqueue.processing.leases import Held
from tests.unit.claimed import NOW, a_claimed_job

SECOND = timedelta(seconds=1)


def samples(*sources: Source) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scraper reads."""
    found = {}
    for family in text_string_to_metric_families(exposition(sources).decode()):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def of(name: str, metrics: JobsRun, **labels: str) -> float:
    return samples(metrics.families).get((f"dataqueue_{name}", tuple(sorted(labels.items()))), 0.0)


def held(**fields: Any) -> Held:
    return Held(a_claimed_job(**fields), deadline=0.0)


def test_a_value_belongs_to_the_first_bound_that_is_not_smaller() -> None:
    values = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        values.observe(value)

    def families() -> Iterable[Metric]:
        yield histogram("it", "What.", (), {(): values})

    read = samples(families)
    assert [read["dataqueue_it_bucket", (("le", bound),)] for bound in ("1.0", "2.0", "+Inf")] == [2, 4, 5]
    assert (read["dataqueue_it_count", ()], read["dataqueue_it_sum", ()]) == (5, 104.0)


def test_at_most_a_hundred_types_are_told_apart() -> None:
    metrics = JobsRun()
    for number in range(1000):
        metrics.started(held(job_type=f"type-{number}"))
    read = samples(metrics.families)
    started = {labels[0][1]: n for (name, labels), n in read.items() if name == "dataqueue_worker_jobs_started_total"}
    assert len(started) == MOST_TYPES + 1
    assert started[OTHER] == 1000 - MOST_TYPES
    assert sum(started.values()) == 1000


def test_a_type_that_is_known_stays_itself_when_there_is_no_room_for_more() -> None:
    types = PerType(list[int], most=1)
    types["a"].append(1)
    types["b"].append(2)
    types["c"].append(3)
    types["a"].append(4)
    assert types == {"a": [1, 4], OTHER: [2, 3]}


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("started", "worker_jobs_started_total"),
        ("released", "worker_jobs_released_total"),
        ("cancelled", "worker_jobs_cancelled_total"),
        ("lost", "worker_leases_lost_total"),
        ("crashed", "worker_jobs_crashed_total"),
    ],
)
def test_what_became_of_a_job_is_counted_by_type(verb: str, name: str) -> None:
    metrics = JobsRun()
    getattr(metrics, verb)(held(job_type="mail"))
    assert of(name, metrics, job_type="mail") == 1


def test_completions_failures_and_retries_are_counted_apart() -> None:
    metrics, again = JobsRun(), Failure("no", reason=FailureReason.TIMEOUT, retry_after=SECOND)
    metrics.completed(held(), None)
    metrics.failed(held(attempts=1, max_attempts=3), again)
    metrics.failed(held(attempts=3, max_attempts=3), again)
    metrics.failed(held(attempts=1, max_attempts=3), replace(again, retry_after=None, reason=FailureReason.REJECTED))
    assert of("worker_jobs_completed_total", metrics, job_type="mail") == 1
    assert of("worker_jobs_retried_total", metrics, job_type="mail", reason="timeout") == 1
    assert of("worker_jobs_failed_total", metrics, job_type="mail", reason="timeout") == 1
    assert of("worker_jobs_failed_total", metrics, job_type="mail", reason="rejected") == 1


def test_the_wait_is_from_when_a_job_was_due_to_its_claim_by_the_storages_clock() -> None:
    metrics = JobsRun()
    metrics.started(held(run_at=NOW - SECOND, created_at=NOW - 20 * SECOND, locked_at=NOW + 2 * SECOND))
    assert of("job_wait_seconds_sum", metrics, job_type="mail") == 3
    metrics.started(held(run_at=NOW - 99 * SECOND, created_at=NOW - SECOND, locked_at=NOW))
    assert of("job_wait_seconds_sum", metrics, job_type="mail") == 4


def test_only_a_first_claim_says_how_long_a_job_waited() -> None:
    metrics = JobsRun()
    metrics.started(held(invocation=2, locked_at=NOW + 99 * SECOND))
    assert of("job_wait_seconds_count", metrics, job_type="mail") == 0
    assert of("worker_jobs_started_total", metrics, job_type="mail") == 1


def test_a_run_is_counted_when_its_handler_has_ended() -> None:
    metrics, one = JobsRun(), held()
    one.ran = 0.25
    metrics.ended(one)
    assert of("job_run_seconds_sum", metrics, job_type="mail") == 0.25


async def test_a_loop_that_is_blocked_is_late() -> None:
    lag = LoopLag(period=0.0)
    task = asyncio.create_task(lag.tick())
    await asyncio.sleep(0)
    time.sleep(0.03)  # noqa: ASYNC251 - that is what is tested
    assert lag.overdue >= 0.03
    await task
    assert lag.lags.total >= 0.03
    assert sum(lag.lags.counts) == 1


def test_every_name_is_one_of_ours_and_has_a_meaning() -> None:
    text = exposition([JobsRun().families, LoopLag().families, of_this_process()]).decode()
    families = list(text_string_to_metric_families(text))
    assert len(families) > 12
    for family in families:
        assert family.name.startswith("dataqueue_")
        assert family.documentation, family.name
