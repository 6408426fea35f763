"""What a worker did with its jobs, counted as it hears of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.metrics_core import Metric

from dataqueue.domain.job import Failure, Json, Note
from dataqueue.domain.steps import Wait
from dataqueue.metrics.counting import Histogram, Occurrences, PerType
from dataqueue.metrics.families import counter, histogram
from dataqueue.processing.leases import Held
from dataqueue.processing.observing import Observer, will_retry

_RUN_BOUNDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_WAIT_BOUNDS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
_BY_TYPE: Final = ("job_type",)
_BY_REASON: Final = ("job_type", "reason")


class _OfType:
    __slots__ = (
        "cancelled", "completed", "crashed", "failed", "lost", "released", "retried", "run", "started", "suspended",
        "wait",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = self.suspended = self.completed = self.released = self.cancelled = self.lost = self.crashed = 0
        self.failed: Occurrences[str] = Occurrences()
        self.retried: Occurrences[str] = Occurrences()
        self.run, self.wait = Histogram(_RUN_BOUNDS), Histogram(_WAIT_BOUNDS)


class JobsRun(Observer):
    """Counts by job type."""

    def __init__(self) -> None:
        self._types = PerType(_OfType)

    def started(self, held: Held) -> None:
        job, of = held.job, self._types[held.job.job_type]
        of.started += 1
        # Later claims do not say since when the job could have been claimed again. One clock, the storage's, has set
        # all three instants, so machines whose clocks differ do not matter.
        if job.invocation == 1:
            due = job.run_at if job.run_at > job.created_at else job.created_at
            of.wait.observe(max(0.0, (job.locked_at - due).total_seconds()))

    def ended(self, held: Held) -> None:
        self._types[held.job.job_type].run.observe(held.ran)

    def completed(self, held: Held, output: Json | None) -> None:
        self._types[held.job.job_type].completed += 1

    def failed(self, held: Held, failure: Failure) -> None:
        of = self._types[held.job.job_type]
        (of.retried if will_retry(held.job, failure) else of.failed)[failure.reason.value] += 1

    def cancelled(self, held: Held) -> None:
        self._types[held.job.job_type].cancelled += 1

    def suspended(self, held: Held, waits: Sequence[Wait]) -> None:
        self._types[held.job.job_type].suspended += 1

    def noted(self, held: Held, note: Note) -> None:
        """Counted by nobody: it happens as often as a handler likes."""

    def released(self, held: Held) -> None:
        self._types[held.job.job_type].released += 1

    def lost(self, held: Held) -> None:
        self._types[held.job.job_type].lost += 1

    def crashed(self, held: Held) -> None:
        self._types[held.job.job_type].crashed += 1

    def troubled(self, error: Exception, *, source: str) -> None:
        """Told once an outage; what is counted are the claims that failed."""

    def families(self) -> Iterable[Metric]:
        types = self._types.copy()
        counts: tuple[tuple[str, str, str], ...] = (
            ("worker_jobs_started", "started", "Handlers started."),
            ("worker_jobs_completed", "completed", "Jobs completed, and recorded so."),
            ("worker_jobs_suspended", "suspended", "Handlers that came to a wait, and gave up their slot."),
            ("worker_jobs_released", "released", "Jobs given back with their attempt, as when a worker stops."),
            ("worker_jobs_cancelled", "cancelled", "Running jobs that were cancelled."),
            ("worker_leases_lost", "lost", "Jobs whose lease this worker lost while it had them."),
            ("worker_jobs_crashed", "crashed", "Jobs that ended the process they ran in alone."),
        )
        for name, attribute, meaning in counts:
            yield counter(
                name, meaning, _BY_TYPE, {(job_type,): getattr(of, attribute) for job_type, of in types.items()}
            )
        meaning = "Jobs that failed for good."
        yield counter("worker_jobs_failed", meaning, _BY_REASON, _by_reason({n: of.failed for n, of in types.items()}))
        meaning = "Attempts that failed and are followed by another."
        yield counter(
            "worker_jobs_retried", meaning, _BY_REASON, _by_reason({n: of.retried for n, of in types.items()})
        )
        meaning = "How long handlers ran, whatever they ended in."
        yield histogram("job_run_seconds", meaning, _BY_TYPE, {(name,): of.run for name, of in types.items()})
        meaning = "From when a job was due to its first claim, by the storage's clock."
        yield histogram("job_wait_seconds", meaning, _BY_TYPE, {(name,): of.wait for name, of in types.items()})


def _by_reason(tallies: dict[str, Occurrences[str]]) -> dict[tuple[str, str], int]:
    return {(name, reason): count for name, tally in tallies.items() for reason, count in tally.copy().items()}
