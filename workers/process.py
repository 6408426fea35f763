"""A worker process: `python -m workers.process`, kept alive by a supervisor. Its settings are `DATAQUEUE_*`."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final

import uvloop

from dataqueue.handlers import registry
from dataqueue.ids import new_worker_id
from dataqueue.maintenance import Maintenance
from dataqueue.processing.worker import Worker
from dataqueue.settings import WorkerSettings
from dataqueue.storage.opening import open_storage, storage_url
from dataqueue.storage.port import Storage
from workers.cli_errors import Refused, complain
from workers.cli_settings import split
from workers.discovery import load_handlers
from workers.isolation import CORES, Isolation
from workers.logs import configure_logging
from workers.metrics import WorkerMetrics
from workers.scraping import NUMBER_OPTION
from workers.shutdown import Shutdown, leave_by_exception
from workers.supervisor import CANNOT_START
from workers.tether import OPTION, Tether

_SLACK: Final = 15.0
_POOL: Final = 6
_ALLOCATIONS: Final = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run jobs until told to stop; `CANNOT_START` when what is wrong will be wrong again."""
    options = _parse(arguments)
    leave_by_exception()
    faulthandler.enable()
    try:
        settings = WorkerSettings()
        configure_logging()
        shutdown = Shutdown(interrupting=True)
        tether = (
            Tether(options.tether, shutdown, last_resort=settings.drain_seconds + _SLACK)
            if options.tether is not None
            else None
        )
        modules = load_handlers(settings.import_list)
        job_types = _served(split(options.job_types))
        _collect_seldom()
        with storage_url(settings) as url:
            open_another = partial(open_storage, url, listen_url=_listen_url(settings), pool_size=_POOL)
            # An exception that breaks into the start of a loop leaves it half made.
            shutdown.only_take_note()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(
                    _work(
                        settings,
                        open_another,
                        shutdown,
                        tether,
                        number=options.number,
                        job_types=job_types,
                        modules=modules,
                    )
                )
    except Exception as error:  # noqa: BLE001 - the edge: an error we know is a sentence, another a traceback
        return complain(error)
    return 0


def _collect_seldom() -> None:
    """What is loaded stays, and jobs come and go by the thousand, nearly all of them in no cycle: looking through them
    for garbage as often as Python does cost a fifth of the throughput."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


async def _work(
    settings: WorkerSettings,
    open_another: Callable[[], Storage],
    shutdown: Shutdown,
    tether: Tether | None,
    *,
    number: int,
    job_types: Sequence[str],
    modules: Sequence[str],
) -> None:
    storage = open_another()
    shutdown.attach()
    # A second signal says nothing new here: an init system may send one to every process there is.
    shutdown.on_signals(second_hurries=False)
    maintenance = Maintenance(storage, settings)
    metrics = None if settings.metrics_port is None else WorkerMetrics(storage, maintenance.reclaimer)
    isolation = Isolation(modules, warm=min(CORES, settings.concurrency))
    worker = Worker(
        settings,
        storage,
        registry,
        worker_id=new_worker_id(),
        open_storage=open_another,
        job_types=job_types,
        isolate=isolation,
        expect=maintenance.stager.expect,
        observer=None if metrics is None else metrics.jobs,
    )
    maintaining = asyncio.create_task(maintenance.run(shutdown.drain))
    telling = asyncio.create_task(_tell_when_ready(worker, tether))
    try:
        async with nullcontext() if metrics is None else metrics.served(worker, settings, number=number):
            await worker.run(shutdown.drain, shutdown.hurry)
    finally:
        telling.cancel()
        shutdown.drain.set()
        await isolation.close()
        await maintaining
        await storage.close()


async def _tell_when_ready(worker: Worker, tether: Tether | None) -> None:
    await worker.started.wait()
    if tether is not None:
        tether.ready({"job_types": worker.job_types})


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-types", metavar="TYPE,…", help="serve only these")
    parser.add_argument(NUMBER_OPTION, type=int, default=0, metavar="N", help="which of several processes")
    parser.add_argument(OPTION, type=int, metavar="FD", help="the supervisor's end of a socket pair")
    return parser.parse_args(arguments)


def _served(asked: Sequence[str]) -> tuple[str, ...]:
    """The types to serve. Refused: there is no handler at all, or none for a type that was asked for."""
    if not registry.job_types:
        raise Refused(
            "no handlers were found: name the module that holds them, as in `dataqueue worker --import pkg.handlers`",
            code=CANNOT_START,
        )
    missing = [name for name in asked if name not in registry.job_types]
    if missing:
        raise Refused(
            f"--job-types: no handler for {', '.join(missing)}; there are handlers for {', '.join(registry.job_types)}",
            code=CANNOT_START,
        )
    return tuple(asked) or registry.job_types


def _listen_url(settings: WorkerSettings) -> str | None:
    return None if settings.listen_url is None else settings.listen_url.get_secret_value()


if __name__ == "__main__":
    sys.exit(main())
