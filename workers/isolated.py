"""The process of one isolated job: `python -m workers.isolated pkg.handlers … --outcome FD`, the job on stdin.

What the handler prints cannot disturb the outcome, which goes through a pipe of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Final

import structlog
import uvloop

from dataqueue.context import NEVER
from dataqueue.domain.job import ClaimedJob
from dataqueue.handlers import registry
from dataqueue.outcome import Outcome
from dataqueue.processing.attempt import attempt, attempt_sync, failed
from workers.discovery import HandlersNotLoaded, load_handlers
from workers.logs import configure_logging
from workers.messages import STARTED, job_from_line, outcome_to_line
from workers.shutdown import SIGNALS

log = structlog.get_logger(__name__)

_HOOKS: Final = 5.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job and tell what it ended in, then wait for the end: the worker kills the session, its leader alive."""
    options = _parse(arguments)
    os.set_inheritable(options.outcome, False)
    faulthandler.enable()
    _let_the_worker_decide()
    worker = _take_stdin()
    job = job_from_line(worker.readline())
    _die_with(worker)
    configure_logging()
    try:
        load_handlers(options.modules)
    except HandlersNotLoaded as error:
        _tell(options.outcome, failed(error, job))
    else:
        _write(options.outcome, STARTED)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            # Told before the loop is closed, which what the handler left running may hold up.
            _tell(options.outcome, runner.run(_attempt(job)))
    while True:
        signal.pause()


async def _attempt(job: ClaimedJob) -> Outcome:
    try:
        await registry.start_up()
        handler = registry[job.job_type]
    except Exception as error:  # noqa: BLE001 - a hook may raise what it likes
        return failed(error, job)
    if handler.is_async:
        outcome = await attempt(handler, job, NEVER)
    else:
        outcome = await asyncio.to_thread(attempt_sync, handler, job, NEVER)
    try:
        async with asyncio.timeout(_HOOKS):
            await registry.shut_down()
    except (ExceptionGroup, TimeoutError):
        log.exception("shutdown_hooks.failed", job_id=str(job.id))
    return outcome


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--outcome", type=int, required=True, metavar="FD")
    return parser.parse_args(arguments)


def _let_the_worker_decide() -> None:
    """An init system's SIGTERM to all is for the worker to answer: death by it would look like a crash of the job."""
    for number in SIGNALS:
        # A handler and not SIG_IGN, which the handler's own children would inherit.
        signal.signal(number, lambda *_: None)


def _take_stdin() -> BinaryIO:
    """The worker's pipe, where the handler does not find it: its own stdin is empty."""
    pipe = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


def _die_with(worker: BinaryIO) -> None:
    """Leave a watcher beside us, which ends the session when the worker's pipe does.

    A process, because a handler may keep this interpreter's threads from running. Forked, which is safe as long as
    there are no threads, and before there is anything of a handler's to copy.
    """
    if os.fork() == 0:
        worker.read()
        os.killpg(0, signal.SIGKILL)
    worker.close()


def _tell(descriptor: int, outcome: Outcome) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _write(descriptor, outcome_to_line(outcome))


def _write(descriptor: int, line: bytes) -> None:
    with os.fdopen(descriptor, "wb", closefd=False) as pipe:
        pipe.write(line)


if __name__ == "__main__":
    main()
