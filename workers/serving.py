"""Serves the API with uvicorn, which imports it by name: workers know nothing of the app."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn

from dataqueue.errors import StorageUnavailable
from dataqueue.settings import Settings
from dataqueue.storage.opening import check_url, open_storage, storage_url
from workers.cli_errors import FAILED, Refused
from workers.shutdown import Shutdown, leave_by_exception
from workers.tether import Tether

log = structlog.get_logger(__name__)

GRACE: Final = 10
"""Seconds that requests under way may take after SIGTERM."""
_UNTAKEN_FOR: Final = 30


def serve_api(settings: Settings, *, tether: int | None = None) -> int:
    """Serve until told to stop. Refused: the address is taken, or open to others while no key exists."""
    leave_by_exception()
    if settings.url is not None:
        check_url(settings.url.get_secret_value())
    if not is_loopback(settings.host):
        asyncio.run(_insist_on_a_key(settings))
    listening = listening_socket(settings.host, settings.port)
    # The application reads its settings from the environment: the port it has is the one we got.
    os.environ["DATAQUEUE_PORT"] = str(listening.getsockname()[1])
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        # Longer than the idle time of the usual load balancers, which then close first.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE,
    )
    logging.getLogger("uvicorn.error").addFilter(_NotACutStream())
    server = _Server(config, tether=tether)
    server.run(sockets=[listening])
    return 0 if server.started else FAILED


class _NotACutStream(logging.Filter):
    """uvicorn calls an answer that was broken off an error. Ours are streams that were cut off, and told of as such."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("ASGI callable returned without completing response")


class _Server(uvicorn.Server):
    """uvicorn, told to stop by our `Shutdown`: it would raise each signal once more when it is done."""

    def __init__(self, config: uvicorn.Config, *, tether: int | None) -> None:
        super().__init__(config)
        self._shutdown = Shutdown(interrupting=True)
        self._tether = None if tether is None else Tether(tether, self._shutdown, last_resort=GRACE + 5)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        self._shutdown.attach()
        self._shutdown.on_signals(second_hurries=True)
        obeying = asyncio.create_task(self._obey())
        try:
            yield
        finally:
            obeying.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        # What is there now stays: without it a full collection takes 2 ms instead of 40, in which nobody is answered.
        gc.collect()
        gc.freeze()
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            log.info("api.listening", url=url_of(host, port))
            if self._tether is not None:
                self._tether.ready({"port": port})

    async def _obey(self) -> None:
        await self._shutdown.drain.wait()
        self.should_exit = True
        if not self._shutdown.by_signal:
            # The application listens for signals, to let go of whoever waits for an answer.
            signal.raise_signal(signal.SIGTERM)
        await self._shutdown.hurry.wait()
        self.force_exit = True


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Refused, in a sentence, when it is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise Refused(f"host {host!r} is no address of this machine ({error.strerror}); set DATAQUEUE_HOST") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Of every connection it accepts: what a caller does not take for so long is given up, with its buffers.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_FOR * 1000)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise Refused(_cannot_bind(host, port, error)) from error
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cannot_bind(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken; choose another: DATAQUEUE_PORT={port + 1}, or PORT={port + 1} make dev"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges that this user has not; choose one above 1023, as in DATAQUEUE_PORT=8000"
    return f"cannot listen on {host}, port {port}: {error.strerror}; set DATAQUEUE_HOST and DATAQUEUE_PORT"


async def _insist_on_a_key(settings: Settings) -> None:
    with storage_url(settings) as url:
        storage = open_storage(url, pool_size=2)
        try:
            if await storage.keys.any_exist():
                return
        except StorageUnavailable as error:
            raise Refused(
                f"cannot look whether an API key exists ({error}); without one {settings.host} is not served",
                code=FAILED,
            ) from error
        finally:
            await storage.close()
    raise Refused(
        f"{settings.host} is reachable from other machines and no API key exists: make one with"
        " `dataqueue keys create`, or serve 127.0.0.1"
    )
