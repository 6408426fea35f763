"""What a worker process tells Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

import structlog
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric

from dataqueue.maintenance import Reclaimer
from dataqueue.metrics.families import Source, counter, exposition, gauge, of_pool, of_this_process
from dataqueue.metrics.jobs_run import JobsRun
from dataqueue.metrics.loop_lag import LoopLag
from dataqueue.processing.worker import Worker
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Storage
from workers.scraping import MetricsServer, port_of

log = structlog.get_logger(__name__)


class WorkerMetrics:
    """Counts while the worker works (`jobs` is its observer), and serves what was counted."""

    def __init__(self, storage: Storage, reclaimer: Reclaimer) -> None:
        self._storage, self._reclaimer = storage, reclaimer
        self.jobs = JobsRun()

    def sources(self, worker: Worker, lag: LoopLag) -> tuple[Source, ...]:
        """All there is."""
        of_worker = partial(self._of_worker, worker)
        return of_this_process(), of_pool(self._storage), lag.families, self.jobs.families, of_worker

    @asynccontextmanager
    async def served(self, worker: Worker, settings: WorkerSettings, *, number: int) -> AsyncIterator[None]:
        """Serve the metrics of this process, the `number`-th of its kind, during the block, on whose loop it is.

        A port that somebody took meanwhile is an error in the log, and no reason not to run jobs.
        """
        lag = LoopLag()
        sources = self.sources(worker, lag)
        host, port = settings.metrics_host, port_of(settings.metrics_port or 0, number)
        try:
            server = MetricsServer(host, port, text=partial(exposition, sources), content_type=CONTENT_TYPE_LATEST)
        except OSError as error:
            log.error("metrics.not_served", host=host, port=port, error=str(error))
            yield
            return
        measuring = asyncio.get_running_loop().create_task(lag.run())
        server.start()
        log.info("metrics.served", host=host, port=server.port)
        try:
            yield
        finally:
            measuring.cancel()
            await asyncio.to_thread(server.stop)

    def _of_worker(self, worker: Worker) -> Iterable[Metric]:
        yield gauge("worker_slots", "Jobs this process runs at a time, at most.", (), {(): worker.slots})
        meaning = "Jobs whose handler is running, those included that were told to stop and do not."
        yield gauge("worker_slots_used", meaning, (), {(): worker.slots - worker.executor.free})
        meaning = "Outcomes that wait to be written; a large output counts as several."
        yield gauge("worker_outcomes_waiting", meaning, (), {(): worker.reporter.waiting})
        yield counter("worker_claim_errors", "Claims that failed.", (), {(): worker.claimer.errors})
        meaning = "Jobs of any worker whose lease had ended, and that this process took back."
        yield counter("jobs_reclaimed", meaning, (), {(): self._reclaimer.reclaimed})
