"""From start to stop: the storage opened, the loops running, and everybody who waits let go in time."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Final

import structlog

from app.auth import is_loopback
from app.service import Service
from dataqueue.duties import EventLogKeeper, RiskTeller, keep_doing
from dataqueue.errors import StorageNotReady, StorageUnavailable
from dataqueue.maintenance import Folder
from dataqueue.settings import Settings
from dataqueue.storage.opening import open_storage, storage_url
from dataqueue.storage.port import Storage

_PATIENCE: Final = 5.0  # a caller who waits longer for one statement is better served by a 503
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: Settings, storage: Storage | None) -> AsyncIterator[Service]:
    """A service that runs. A storage handed in stays open; one opened here is closed."""
    if settings.open_access and not is_loopback(settings.host):
        raise SystemExit(
            f"Open access is for a loopback address only, and the API is to listen on {settings.host}: unset "
            "DATAQUEUE_OPEN_ACCESS and make a key with `dataqueue keys create`."
        )
    with ExitStack() as stack:
        own = storage is None
        if storage is None:
            url = await asyncio.to_thread(stack.enter_context, storage_url(settings))
            listen_url = settings.listen_url.get_secret_value() if settings.listen_url else None
            storage = open_storage(url, listen_url=listen_url, pool_size=settings.pool_size, patience=_PATIENCE)
        try:
            await _refuse_unprotected(settings, storage)
            async with _serving(settings, storage) as service:
                yield service
        finally:
            if own:
                await storage.close()


@asynccontextmanager
async def _serving(settings: Settings, storage: Storage) -> AsyncIterator[Service]:
    service = Service(settings, storage)
    duties = (EventLogKeeper(upkeep=storage.upkeep), Folder(upkeep=storage.upkeep), RiskTeller(storage))
    upkeep = [keep_doing(duty, asyncio.Event()) for duty in duties]
    duties_of_ours = (service.stager.run(), _hear(service), service.hub.run(), service.metrics.lag.run(), *upkeep)
    loops = [asyncio.create_task(loop) for loop in duties_of_ours]
    try:
        with _on_stop_signal(service):
            yield service
    finally:
        service.stop_waiting()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await service.settle()


async def _refuse_unprotected(settings: Settings, storage: Storage) -> None:
    """An address that others reach needs a key to exist, or the service would be of use to nobody."""
    if is_loopback(settings.host):
        return
    try:
        if await storage.keys.any_exist():
            return
    except (StorageUnavailable, StorageNotReady) as error:
        # It starts closed: nobody is let in without a key that the storage has confirmed.
        _log.warning("cannot see yet whether any key exists", error=str(error))
        return
    raise SystemExit(
        f"Refusing to listen on {settings.host} without an API key: make one with `dataqueue keys create`, or "
        "listen on 127.0.0.1."
    )


async def _hear(service: Service) -> None:
    """Hints of other processes, for whoever waits here."""
    async with service.storage.notifier.listen() as hints:
        async for hint in hints:
            # Whatever it is about, it has left events.
            service.hub.nudge()
            if hint.kind in {"ended", "listening"}:
                service.watcher.nudge()
            if hint.kind in {"admit", "listening"}:
                service.stager.expect(0)


@contextmanager
def _on_stop_signal(service: Service) -> Iterator[None]:
    """Hear of the stop when it is asked for: a server ends the lifespan only after the last answer was given."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: there is nobody left to let go
            loop.call_soon_threadsafe(service.stop_waiting)
        previous = before[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)
        elif previous == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
