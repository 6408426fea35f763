"""From what a program says, or its environment, to the storage a queue works on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from pydantic import SecretStr

from dataqueue.log_context import add_context
from dataqueue.settings import WorkerSettings
from dataqueue.storage.opening import open_storage, storage_url
from dataqueue.storage.port import Storage

_POOL_ASIDE: Final = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """A storage, how to open it once more for another thread (None: nobody said), and what to close after it."""

    storage: Storage
    open_another: Callable[[], Storage] | None
    is_ours: bool = True
    closing: ExitStack = field(default_factory=ExitStack)

    async def close(self) -> None:
        """A storage that was handed in stays open."""
        if self.is_ours:
            await self.storage.close()
        # The last one out stops the embedded server, and waits for it.
        await asyncio.to_thread(self.closing.close)


def settings_of(settings: WorkerSettings | None, *, url: str | None, namespace: str | None) -> WorkerSettings:
    """What is said counts more than what is in the environment."""
    settings = settings or WorkerSettings()
    said: dict[str, object] = {}
    if url is not None:
        said["url"] = SecretStr(url)
    if namespace is not None:
        said["namespace"] = namespace
    return settings.model_copy(update=said) if said else settings


def opened(settings: WorkerSettings) -> Opened:
    """Blocks while the embedded server starts, when there is no URL; else it connects when it is first used."""
    with ExitStack() as stack:
        url = stack.enter_context(storage_url(settings))
        listen_url = None if settings.listen_url is None else settings.listen_url.get_secret_value()
        return Opened(
            open_storage(url, listen_url=listen_url, pool_size=settings.pool_size),
            partial(open_storage, url, listen_url=listen_url, pool_size=_POOL_ASIDE),
            closing=stack.pop_all(),
        )


def log_as_the_host_does() -> None:
    """Send our lines to the standard library's logging, where a program expects them, unless it set structlog up."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                add_context,
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
