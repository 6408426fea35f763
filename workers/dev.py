"""Everything on one machine: an embedded PostgreSQL or Redis, its schema, the API and a worker, until Ctrl-C."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

import workers
from dataqueue.settings import WorkerSettings
from dataqueue.storage.backend import Backend, backend_of
from dataqueue.storage.opening import migrate, storage_url
from workers.banner import banner
from workers.cli_errors import Refused
from workers.logs import masked
from workers.running import worker_supervisor
from workers.serving import GRACE, is_loopback, listening_socket, url_of
from workers.shutdown import Shutdown, leave_by_exception
from workers.spawning import python_module
from workers.supervisor import Patience, Supervisor

log = structlog.get_logger(__name__)

EXAMPLES: Final = "examples.handlers"
_FOLDER: Final = Path(workers.__path__[0]).parent / "examples"
_POLL: Final = 0.05
_LATE: Final = 30.0


def examples_are_here() -> bool:
    """Whether the example handlers lie beside our packages, as they do in a checkout."""
    return (_FOLDER / "handlers.py").is_file()


def refuse_another_backend(url: str, *, wanted: Backend) -> None:
    """Refused: the URL is for another kind of storage than was asked for."""
    found = backend_of(url)
    if found not in {None, wanted}:
        raise Refused(
            f"--backend {wanted} (DATAQUEUE_BACKEND) starts a server of our own, and DATAQUEUE_URL is {masked(url)}, a"
            f" {found} server: leave one of the two out"
        )


def run_dev(settings: WorkerSettings) -> int:
    """Run it all in the foreground; the exit code. Refused: the address is taken, or open to other machines."""
    leave_by_exception()
    if not is_loopback(settings.host):
        raise Refused(
            f"`dataqueue dev` asks for no key, so it serves this machine alone, not {settings.host}: leave"
            " DATAQUEUE_HOST out, or use `dataqueue serve`"
        )
    with listening_socket(settings.host, settings.port) as probe:
        port = int(probe.getsockname()[1])
    with storage_url(settings) as url:
        asyncio.run(migrate(url))
        # The children have their own share of the embedded server: were this process killed, the last of them
        # would stop it.
        data = str(settings.home_folder) if settings.url is None else masked(url)
        return asyncio.run(_Everything(settings, port=port, data=data).run())


class _Everything:
    """The API and the worker, started together, stopped in order."""

    def __init__(self, settings: WorkerSettings, *, port: int, data: str) -> None:
        self._url, self._data = url_of(settings.host, port), data
        self._host, self._port = settings.host, port
        os.environ["DATAQUEUE_PORT"] = str(port)
        self._api = Supervisor(
            name="api",
            command=python_module("workers", "serve"),
            env=os.environ | {"DATAQUEUE_OPEN_ACCESS": "true"},
            count=1,
            patience=Patience(drain=GRACE + 5),
        )
        # For the workers alone: the API goes by what each caller reached it by.
        os.environ["DATAQUEUE_PUBLIC_URL"] = settings.public_url or self._url
        self._worker = worker_supervisor(settings)
        self._payloads = _payloads(settings.import_list)
        self._drain_seconds = settings.drain_seconds

    async def run(self) -> int:
        told, api_told, worker_told = Shutdown(), Shutdown(), Shutdown()
        for shutdown in (told, api_told, worker_told):
            shutdown.attach()
        told.on_signals(second_hurries=True)
        async with asyncio.TaskGroup() as group:
            api = group.create_task(self._api.run(api_told))
            worker = group.create_task(self._worker.run(worker_told))
            welcome = group.create_task(self._welcome())
            asked = group.create_task(told.drain.wait())
            await asyncio.wait({api, worker, asked}, return_when=asyncio.FIRST_COMPLETED)
            welcome.cancel()
            hurrying = group.create_task(_pass_on(told, api_told, worker_told))
            if asked.done():
                _say(
                    f"\nStopping. Running jobs may finish for {self._drain_seconds:g} s;"
                    " Ctrl-C again gives them back now."
                )
            # In this order: what the API has accepted while it ended is there for the next start.
            api_told.tell_drain()
            code = await api
            worker_told.tell_drain()
            code = await worker or code
            hurrying.cancel()
            asked.cancel()
        return code

    async def _welcome(self) -> None:
        await self._api.ready.wait()
        await self._worker.ready.wait()
        loop = asyncio.get_running_loop()
        late = loop.time() + _LATE
        while (status := await asyncio.to_thread(_status_of, self._host, self._port)) != 200:
            if loop.time() > late:
                log.warning("dev.not_ready", readyz=status)
                late = loop.time() + _LATE
            await asyncio.sleep(_POLL)
        job_types = [str(name) for name in self._worker.about.get("job_types", ())]
        _say(banner(self._url, job_types=job_types, payloads=self._payloads, data=self._data))


def _say(text: str) -> None:
    # A terminal that is gone must not keep anything from stopping.
    with suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


async def _pass_on(told: Shutdown, *others: Shutdown) -> None:
    await told.hurry.wait()
    for other in others:
        other.tell_hurry()


def _status_of(host: str, port: int) -> int | None:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def _payloads(imports: Sequence[str]) -> Mapping[str, Any]:
    if EXAMPLES not in imports:
        return {}
    payloads: Mapping[str, Any] = json.loads((_FOLDER / "payloads.json").read_text())
    return payloads
