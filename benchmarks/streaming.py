"""One import: lines made on the fly, sent as fast as they are taken. `python -m benchmarks.streaming`."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from http.client import HTTPResponse
from typing import Any, Final, NamedTuple

_BLOCK: Final = 1000
_PIECE: Final = 1 << 16
_LONGEST: Final = 1000
_LINE: Final = (
    '{{"job_type":"noop","payload":{{"to":"ada@example.com","template":"welcome","number":{number}}}{key}}}\n'
)
_KEY: Final = ',"idempotency_key":"import-{number}"'


class Imported(NamedTuple):
    """How it went. `cpu`: seconds of this process."""

    seconds: float
    sending: float
    cpu: float
    answers: int
    summary: dict[str, int]


def run(port: int, lines: int, *, keyed: bool, late: bool) -> Imported:
    """Import; `late`: nothing is read before everything was sent."""
    answers = _Answers()
    reading = threading.Thread(target=answers.read)
    line = _LINE.replace("{key}", _KEY if keyed else "")
    with socket.create_connection(("127.0.0.1", port)) as answers.connection:
        started = time.perf_counter()
        if not late:
            reading.start()
        head = ("POST /v1/jobs/import HTTP/1.1", "host: 127.0.0.1", "content-type: application/x-ndjson")
        answers.connection.sendall("\r\n".join((*head, "transfer-encoding: chunked", "", "")).encode())
        for first in range(0, lines, _BLOCK):
            numbers = range(first, min(first + _BLOCK, lines))
            block = "".join([line.format(number=number) for number in numbers]).encode()
            answers.connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))
        answers.connection.sendall(b"0\r\n\r\n")
        sending = time.perf_counter() - started
        if late:
            reading.start()
        reading.join()
        seconds = time.perf_counter() - started
    return Imported(seconds, sending, time.process_time(), answers.count, answers.summary)


class _Answers:
    """Counts lines without keeping them."""

    connection: socket.socket

    def __init__(self) -> None:
        self.count = 0
        self.summary: dict[str, int] = {}

    def read(self) -> None:
        response = HTTPResponse(self.connection)
        response.begin()
        last = b""
        while received := response.read1(_PIECE):
            self.count += received.count(b"\n")
            last = last[-_LONGEST:] + received
        self.count -= 1
        found: dict[str, Any] = json.loads(last.rstrip(b"\n").rpartition(b"\n")[2])
        self.summary = found["summary"]


def main() -> None:
    port, lines, keyed, late = sys.argv[1:]
    found = run(int(port), int(lines), keyed=keyed == "keyed", late=late == "late")
    print(json.dumps(found._asdict()))


if __name__ == "__main__":
    main()
