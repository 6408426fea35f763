"""Runs supervisors in the foreground of a command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Final

from dataqueue.settings import WorkerSettings
from workers.scraping import NUMBER_OPTION, refuse_taken_ports
from workers.shutdown import Shutdown
from workers.spawning import python_module
from workers.supervisor import Patience, Supervisor

_LAST_WORDS: Final = 15.0
"""What a worker may need beyond its drain time: to give back, to write what is left, to close."""


def worker_supervisor(settings: WorkerSettings, *, job_types: Sequence[str] = ()) -> Supervisor:
    """Of the processes that run jobs. They read their settings from this process's environment.

    Refused: a port where one of them is to serve its metrics is taken.
    """
    refuse_taken_ports(settings)
    chosen = ("--job-types", ",".join(job_types)) if job_types else ()
    return Supervisor(
        name="worker",
        command=python_module("workers.process", *chosen),
        env=os.environ,
        count=settings.processes,
        patience=Patience(drain=settings.drain_seconds + _LAST_WORDS, hurry=_LAST_WORDS),
        number_option=NUMBER_OPTION,
    )


def run_supervised(supervisor: Supervisor) -> int:
    """Run until a signal has drained it, the second hurrying it, or until it gives up; the exit code."""

    async def run() -> int:
        shutdown = Shutdown()
        shutdown.attach()
        shutdown.on_signals(second_hurries=True)
        return await supervisor.run(shutdown)

    return asyncio.run(run())
