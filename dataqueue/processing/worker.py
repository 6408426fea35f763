"""A worker: one process that claims jobs, runs them and reports what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog

from dataqueue.announcing import Announcer
from dataqueue.callback_urls import base_of, callback_urls_of
from dataqueue.handlers import HandlerRegistry
from dataqueue.outcome import Gone, Outcome
from dataqueue.processing.aside import Aside
from dataqueue.processing.claimer import Claimer
from dataqueue.processing.executor import Executor, Isolate
from dataqueue.processing.heartbeat import Heartbeat, Watch
from dataqueue.processing.hints import HintListener
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.processing.local_work import Durable, LocalWork
from dataqueue.processing.notes import Notes
from dataqueue.processing.observing import Observer
from dataqueue.processing.presence import Presence
from dataqueue.processing.reporter import Reporter
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Storage

log = structlog.get_logger(__name__)

_LARGEST_CLAIM: Final = 1000
_LEAST_BACKLOG: Final = 1000
_ANY: Final = "*"
_LAST_WORDS: Final = 2.0
"""How long a handler that was told to stop may take when the worker is stopping."""
_LAST_WORDS_IN_HURRY: Final = 0.2
_LAST_WRITES: Final = 5.0


class Worker:
    """Composes the duties of one process. `run` returns when it has been stopped and everything is settled.

    `open_storage` makes the storage of the heartbeat's thread; `isolate` runs a job that has crashed before;
    `expect` is told in how many seconds something will be to stage.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        storage: Storage,
        registry: HandlerRegistry,
        *,
        worker_id: str,
        open_storage: Callable[[], Storage],
        job_types: Collection[str] | None = None,
        isolate: Isolate | None = None,
        expect: Callable[[float], None] = lambda _: None,
        observer: Observer | None = None,
    ) -> None:
        self._settings, self._registry, self._worker_id = settings, registry, worker_id
        self._storage = storage
        self._base_url = base_of(public_url=settings.public_url, host=settings.host, port=settings.port)
        self._expect = expect
        self._observer = observer
        self.job_types: Final = _served(registry, job_types)
        self.started = asyncio.Event()
        self._hurried, self._fault = asyncio.Event(), asyncio.Event()
        self._backlog = max(_LEAST_BACKLOG, 2 * settings.concurrency)
        jobs = storage.jobs(settings.namespace)
        self._workers = storage.workers(settings.namespace)
        self._is_seen = self._is_draining = self._has_guessed = False
        self._winding_up = asyncio.Event()
        self._announce_ended = Announcer(storage.notifier, kind="ended", namespace=settings.namespace)
        self._announce_ready = Announcer(storage.notifier, kind="ready", namespace=settings.namespace)
        self._table = LeaseTable(lease=settings.lease_seconds)
        self.reporter = Reporter(
            jobs=jobs,
            table=self._table,
            ended=self._ended,
            given_back=self._given_back,
            suspended=self._suspended,
            expect=expect,
            observer=observer,
        )
        self.notes = Notes(jobs=jobs, lost=self._lost, told=_ignore if observer is None else observer.noted)
        durable = Durable(
            steps=storage.steps(settings.namespace),
            tokens=storage.tokens(settings.namespace),
            notes=self.notes,
            callback_url=self._callback_url,
            lost=self._lost,
        )
        self.claimer = Claimer(
            jobs=jobs,
            table=self._table,
            job_types=self.job_types,
            worker_id=worker_id,
            concurrency=settings.concurrency,
            poll=settings.poll_seconds,
            room=self._room,
            start=self._start,
            troubled=partial(self._troubled, "claiming"),
        )
        self.executor = Executor(
            handlers=registry,
            table=self._table,
            concurrency=settings.concurrency,
            work_of=partial(LocalWork, durable=durable),
            report=self._report,
            freed=self.claimer.freed,
            ended=_ignore if observer is None else observer.ended,
            isolate=isolate,
        )
        self._aside = Aside(name="heartbeat", open_storage=open_storage, loops=self._loops_aside, died=self._aside_died)

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event | None = None) -> None:
        """Work until `stop`; then finish what runs within the drain time, and give the rest back.

        `hurry` gives everything back at once. What a start-up hook raises is raised here, before any job is
        taken.
        """
        if hurry is not None:
            self._hurried = hurry
        self._is_seen = True
        await self._work(self._claim_on(), stop)

    async def run_batch(self, size: int, stop: asyncio.Event, hurry: asyncio.Event) -> int:
        """Claim up to `size` jobs, run them, and answer how many once every outcome is written.

        `stop` claims no more, `hurry` also gives back what runs. Raises what a claim raises, once what was claimed
        before is written. A worker runs one batch, or `run`, once.
        """
        self._hurried = hurry
        taken = [0]

        async def batch() -> None:
            taken.append(await self.claimer.run_batch(size))

        await self._work(batch(), stop)
        return taken[-1]

    async def _claim_on(self) -> None:
        """Claim until stopped; a worker that is drained stays until it is to end."""
        await self.claimer.run()
        if self._is_draining:
            await self._winding_up.wait()

    async def _work(self, claims: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._registry.start_up()
        except BaseException:
            claims.close()
            raise
        self._aside.start()
        claiming = self._loop.create_task(claims)
        log.info("worker.started", worker_id=self._worker_id, job_types=self.job_types)
        self.started.set()
        try:
            await _first_of(claiming, stop.wait(), self._hurried.wait(), self._fault.wait())
        except asyncio.CancelledError:
            self._hurried.set()
            raise
        finally:
            await self._wind_up(claiming)
        if self._fault.is_set():
            raise RuntimeError("the thread that keeps the leases died")
        if claiming.done() and not claiming.cancelled():
            claiming.result()

    @property
    def slots(self) -> int:
        """Jobs it runs at a time, at most."""
        return self._settings.concurrency

    @property
    def left_behind(self) -> int:
        """Handlers that run although they were told to stop: after `run`, what may keep the loop from closing."""
        return self._settings.concurrency - self.executor.free

    async def _wind_up(self, claiming: asyncio.Task[None]) -> None:
        """Heartbeats go on until the last outcome is written."""
        log.info("worker.stopping", worker_id=self._worker_id, running=self.executor.unsettled)
        self._winding_up.set()
        self.claimer.stop()
        await _first_of(
            self._drained(claiming),
            self._hurried.wait(),
            self._fault.wait(),
            within=self._settings.drain_seconds,
        )
        given_back = self.executor.unsettled
        self.executor.interrupt_all()
        hurried = self._hurried.is_set()
        await _first_of(self.executor.idle(), within=_LAST_WORDS_IN_HURRY if hurried else _LAST_WORDS)
        self.executor.settle_all()
        await _first_of(claiming, within=_LAST_WORDS)  # a claim under way is given back
        await _first_of(self._settled(), within=_LAST_WRITES)
        claiming.cancel()
        await _first_of(claiming, within=_LAST_WORDS)
        await self._aside.stop()
        if self._is_seen:
            await self._leave(within=_LAST_WORDS_IN_HURRY if hurried else _LAST_WORDS)
        self.executor.close()
        await self._shut_down()
        log.info("worker.stopped", worker_id=self._worker_id, given_back=given_back, left_behind=self.left_behind)

    async def _drained(self, claiming: asyncio.Task[None]) -> None:
        await asyncio.wait({claiming})
        await self.executor.idle()
        await self.notes.settle()
        await self.reporter.settle()

    async def _settled(self) -> None:
        await self.notes.settle()
        await self.reporter.settle()
        await self._announce_ended.settle()
        await self._announce_ready.settle()

    async def _leave(self, *, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._workers.leave(self._worker_id)
        except Exception as error:  # noqa: BLE001 - it is forgotten in any case, a little later
            log.debug("worker.not_signed_off", error=str(error))

    async def _shut_down(self) -> None:
        try:
            await self._registry.shut_down()
        except ExceptionGroup:
            log.exception("worker.shutdown_hooks_failed")

    def _room(self) -> int:
        return min(self.executor.free, self._backlog - self.reporter.waiting, _LARGEST_CLAIM)

    def _start(self, claimed: list[Held]) -> None:
        if self.claimer.stopped:
            self.executor.give_back(claimed)
        else:
            if self._observer is not None:
                for held in claimed:
                    self._observer.started(held)
            self.executor.start(claimed)

    def _report(self, held: Held, outcome: Outcome) -> None:
        if isinstance(outcome, Gone):
            self.notes.drop(held)
        self.notes.when_written(held, partial(self.reporter.report, held, outcome))

    def _lost(self, held: Held) -> None:
        """A write on behalf of a handler came too late: somebody else has the job."""
        if self._table.tell(held, Stop.LOST):
            log.warning("job.lost", verb="step", job_id=str(held.job.id), job_type=held.job.job_type)
            self.executor.interrupt(held)

    async def _callback_url(self, token_id: UUID) -> str:
        if self._settings.public_url is None and not self._has_guessed:
            self._has_guessed = True
            log.warning("callback_urls.guessed", base=self._base_url, fix="set DATAQUEUE_PUBLIC_URL")
        urls = await callback_urls_of(self._storage, self._base_url)
        return urls.of(self._settings.namespace, token_id)

    def _suspended(self) -> None:
        """A slot is free; and what was waited for may have come just before, which nobody else tells."""
        self.claimer.hint()

    def _cancelled(self, cancelled: list[Held]) -> None:
        if self._observer is not None:
            for held in cancelled:
                self._observer.cancelled(held)
        self._ended()

    def _troubled(self, source: str, error: Exception) -> None:
        if self._observer is not None:
            self._observer.troubled(error, source=source)

    def _ended(self) -> None:
        self._announce_ended({_ANY})
        self.claimer.freed()

    def _given_back(self, held: list[Held]) -> None:
        self._announce_ready({one.job.job_type for one in held})
        self._ended()

    def _loops_aside(self, storage: Storage) -> list[Coroutine[Any, Any, None]]:
        told = partial(self._tell_loop, self.executor.interrupt)
        heartbeat = Heartbeat(
            jobs=storage.jobs(self._settings.namespace),
            table=self._table,
            told=told,
            cancelled=partial(self._tell_loop, self._cancelled),
            troubled=partial(self._tell_loop, self._troubled, "keeping leases"),
        )
        presence = Presence(
            workers=storage.workers(self._settings.namespace),
            worker_id=self._worker_id,
            job_types=self.job_types,
            drain=partial(self._tell_loop, self._drain),
        )
        hints = HintListener(
            notifier=storage.notifier,
            namespace=self._settings.namespace,
            job_types=self.job_types,
            ready=partial(self._tell_loop, self.claimer.hint),
            cancel=heartbeat.beat_soon,
            admit=partial(self._tell_loop, self._expect, 0.0),
            worker_id=self._worker_id,
            orders=presence.beat_soon,
        )
        loops = [heartbeat.run(), Watch(table=self._table, told=told).run(), hints.run()]
        return [*loops, presence.run()] if self._is_seen else loops

    def _drain(self) -> None:
        log.info("worker.draining", worker_id=self._worker_id, running=self.executor.unsettled)
        self._is_draining = True
        self.claimer.stop()

    def _tell_loop(self, what: Callable[..., None], *args: Any) -> None:
        # A loop that is closed has no handlers left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *args)

    def _aside_died(self) -> None:
        self._tell_loop(self._fault.set)


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


def _served(registry: HandlerRegistry, only: Collection[str] | None) -> tuple[str, ...]:
    served = tuple(name for name in registry.job_types if only is None or name in only)
    if missing := set(only or ()).difference(served):
        log.warning("worker.no_handler", job_types=sorted(missing))
    if not served:
        log.warning("worker.serves_nothing")
    return served


async def _first_of(*things: Awaitable[Any], within: float | None = None) -> None:
    """Wait until one of them is done, or the time is up. What they raised stays with the tasks among them."""
    tasks = [asyncio.ensure_future(thing) for thing in things]
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, thing in zip(tasks, things, strict=True):
            if task is not thing:
                task.cancel()
