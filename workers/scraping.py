"""Serves the metrics of one process, from a thread: it answers also while a handler blocks the loop."""

from __future__ import annotations

import errno
import socket
import socketserver
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from workers.cli_errors import Refused
from workers.shutdown import in_thread

if TYPE_CHECKING:
    from dataqueue.settings import WorkerSettings

NUMBER_OPTION: Final = "--number"
_PATIENCE: Final = 5.0  # with a scraper that says nothing
_LARGEST_PORT: Final = 65_535


class MetricsServer(ThreadingHTTPServer):
    """Answers GET /metrics, and nothing else. OSError: the address is taken, or not ours."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, *, text: Callable[[], bytes], content_type: str) -> None:
        self.text, self.content_type = text, content_type
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Scrape)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name server who we are.
        socketserver.TCPServer.server_bind(self)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        in_thread(self.serve_forever, name="metrics")

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up is no news."""


class _Scrape(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _PATIENCE
    server_version, sys_version = "dataqueue", ""

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/metrics":
            self._answer(404, b"There is /metrics here, and nothing else.\n", "text/plain; charset=utf-8")
            return
        self._answer(200, self.server.text(), self.server.content_type)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parameter has this name
        """Scrapes are not logged."""

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def port_of(first: int, number: int) -> int:
    """The port of a process, by its number; 0, a free one, for each of them."""
    return first + number if first else 0


def refuse_taken_ports(settings: WorkerSettings) -> None:
    """Say in a sentence which port cannot be had, before any process is started."""
    first, host = settings.metrics_port, settings.metrics_host
    if first is None:
        return
    if first + settings.processes - 1 > _LARGEST_PORT:
        raise Refused(f"{settings.processes} processes need as many ports for their metrics, and {first} is too high")
    for number in range(settings.processes):
        port = port_of(first, number)
        try:
            MetricsServer(host, port, text=bytes, content_type="").server_close()
        except OSError as error:
            raise Refused(_why(host, port, error)) from error


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host}, for metrics, is taken; choose another: --metrics-port, or DATAQUEUE_METRICS_PORT"
        )
    return (
        f"cannot serve metrics on {host}, port {port}: {error.strerror}; set DATAQUEUE_METRICS_HOST and"
        " DATAQUEUE_METRICS_PORT"
    )
