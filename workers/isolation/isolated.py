"""The process of isolated jobs: `python -m workers.isolation.isolated pkg.handlers … --channel FD`, one job at a time.

Its stdin is the life line: when that ends the worker is dead, and so is everything here. What the handler prints cannot
disturb the channel.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import structlog
import uvloop

from dataqueue.handlers import registry
from dataqueue.processing.attempt import failed
from dataqueue.processing.threads import ThreadPool
from workers.discovery import HandlersNotLoaded, load_handlers
from workers.isolation.channel import HOOKS, OPTION, Channel
from workers.isolation.child_work import ChildWork
from workers.isolation.left_behind import HANDLER_THREAD, LeftBehind
from workers.isolation.messages import Answer, Ended, Raised, Ready, Run, Started
from workers.isolation.process_tree import adopt_orphans
from workers.isolation.timed_attempt import TimedAttempt
from workers.isolation.watcher import Watcher
from workers.logs import configure_logging
from workers.shutdown import SIGNALS

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do jobs until there are to be no more."""
    options = _parse(arguments)
    faulthandler.enable()
    _let_the_worker_decide()
    watcher = Watcher(options.channel)
    adopt_orphans()
    channel = Channel(options.channel)
    configure_logging()
    trouble: Exception | None = None
    try:
        load_handlers(options.modules)
    except HandlersNotLoaded as error:
        trouble = error
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_serve(channel, watcher, trouble))
    # Neither loop nor interpreter is closed, which what a handler left running may hold up. The worker ends us while we
    # are there to lead to whatever that is.
    _flush()
    channel.end()
    while True:
        signal.pause()


async def _serve(channel: Channel, watcher: Watcher, trouble: Exception | None) -> None:
    if trouble is None:
        try:
            await registry.start_up()
        except Exception as error:  # noqa: BLE001 - a hook may raise what it likes
            trouble = error
    desk = _Desk(channel)
    channel.send(Ready(fit=trouble is None))
    while (run := await desk.next_job()) is not None:
        channel.send(await _end_of(run, desk, watcher, trouble))
    if trouble is None:
        await _shut_down()


async def _end_of(run: Run, desk: _Desk, watcher: Watcher, trouble: Exception | None) -> Ended:
    try:
        if trouble is not None:
            raise trouble
        handler = registry[run.job.job_type]
    except Exception as error:  # noqa: BLE001 - as above
        return Ended(failed(error, run.job))
    left_behind = LeftBehind()
    attempt = TimedAttempt(run.job, handler, channel=desk.channel, threads=desk.threads, grace=run.grace)
    desk.work = attempt.work
    started = Started(time.monotonic())
    if run.job.force_kill_on_timeout:
        watcher.end_at(started.deadline(run.job))
    desk.channel.send(started)
    outcome = await attempt.outcome()
    left = await left_behind.look()
    if not left:
        watcher.end_at(None)
    _flush()
    return Ended(outcome, left)


class _Desk:
    """Where what the worker says goes: a job to its turn, an answer to who has asked."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.threads = ThreadPool(name=HANDLER_THREAD)
        self.work: ChildWork | None = None
        self._jobs: asyncio.Queue[Run | None] = asyncio.Queue()
        channel.attach(self._hear)

    async def next_job(self) -> Run | None:
        """None: there are to be no more."""
        return await self._jobs.get()

    def _hear(self, message: Any) -> None:
        if not isinstance(message, Answer | Raised):
            self._jobs.put_nowait(message)
        elif self.work is not None:
            self.work.hear(message)


async def _shut_down() -> None:
    try:
        async with asyncio.timeout(HOOKS):
            await registry.shut_down()
    except (ExceptionGroup, TimeoutError):
        log.exception("shutdown_hooks.failed")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*")
    parser.add_argument(OPTION, type=int, required=True, metavar="FD")
    return parser.parse_args(arguments)


def _let_the_worker_decide() -> None:
    """An init system's SIGTERM to all is for the worker to answer: death by it would look like a crash of the job."""
    for number in SIGNALS:
        # A handler and not SIG_IGN, which the handler's own children would inherit.
        signal.signal(number, lambda *_: None)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


if __name__ == "__main__":
    main()
