"""Imports over a real connection: read late, read early, cut in the middle, and begun again."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
import pytest

from dataqueue.domain.filters import JobFilter
from tests.acceptance.databases import Mortal
from tests.acceptance.looking import jobs_in
from tests.acceptance.processes import until
from tests.acceptance.services import Api

_HEAD: Final = (
    b"POST /v1/jobs/import HTTP/1.1\r\nhost: queue\r\ncontent-type: application/x-ndjson\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_SMALL: Final = 8 << 10
_MIB: Final = 1 << 20


class Stream:
    """One import, sent and read as the test likes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._response: HTTPResponse | None = None
        self.answers: list[dict[str, Any]] = []
        self.has_ended: bool | None = None
        """Whether the answers came to their end; None: nobody knows."""
        self._begun = b""
        connection.sendall(_HEAD)

    def send(self, job_type: str, numbers: range, *, padding: int = 0) -> None:
        """Jobs with keys; OSError when nobody listens any more."""
        line = '{"job_type":"%s","idempotency_key":"%s-%d","payload":"%s"}\n'
        block = "".join([line % (job_type, job_type, number, "x" * padding) for number in numbers]).encode()
        self._connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))

    def finish(self) -> None:
        self._connection.sendall(b"0\r\n\r\n")

    @property
    def response(self) -> HTTPResponse:
        if self._response is None:
            self._response = HTTPResponse(self._connection)
            self._response.begin()
        return self._response

    def read(self, count: int) -> None:
        """At least so many answers."""
        while len(self.answers) < count:
            assert self._read_some(), "the answers ended"

    def read_all(self) -> None:
        """Everything to the end, or to where it breaks off."""
        try:
            while self._read_some():
                pass
            self.has_ended = True
        except (IncompleteRead, ConnectionError):
            self.has_ended = False

    def _read_some(self) -> bool:
        # Not readline, which takes a connection that breaks for the end.
        received = self.response.read1(_MIB)
        *lines, self._begun = (self._begun + received).split(b"\n")
        self.answers += map(json.loads, lines)
        return bool(received)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()

    @property
    def summary(self) -> dict[str, int] | None:
        found: dict[str, int] | None = self.answers[-1].get("summary") if self.answers else None
        return found


@contextmanager
def importing(api: Api, *, receive_buffer: int | None = None) -> Iterator[Stream]:
    address = urlsplit(api.url)
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(60)
        connection.connect((address.hostname, address.port))
        stream = Stream(connection)
        yield stream
        stream.close()


def stored(url: str, job_type: str) -> dict[str, str]:
    """Keys by id."""
    return {str(job.id): job.idempotency_key or "" for job in jobs_in(url, JobFilter(job_types=(job_type,)))}


def summary(lines: int, *, created: int, existing: int = 0) -> dict[str, int]:
    return {"lines": lines, "created": created, "existing": existing, "rejected": 0}


def memory(api: Api) -> int:
    return int(psutil.Process(api.pid).memory_info().rss)


def test_who_reads_nothing_before_everything_is_sent_is_answered_in_full_and_from_little_memory(api: Api) -> None:
    blocks, size = 80, 1000
    with importing(api, receive_buffer=_SMALL) as stream:
        stream.send("late", range(size))
        before = memory(api)
        for block in range(1, blocks):
            stream.send("late", range(block * size, (block + 1) * size), padding=400)
        stream.finish()
        stream.read_all()
    assert [answer["line"] for answer in stream.answers[:-1]] == list(range(1, blocks * size + 1))
    assert stream.summary == summary(blocks * size, created=blocks * size)
    # 35 MiB came in, and 5 MiB of answers waited.
    assert memory(api) < before + 12 * _MIB


def test_who_waits_for_each_answer_gets_it(api: Api) -> None:
    with importing(api) as stream:
        for number in range(20):
            stream.send("early", range(number, number + 1))
            stream.read(number + 1)
        stream.finish()
        stream.read_all()
    assert stream.summary == summary(20, created=20)


def test_the_connection_of_an_import_can_be_used_again(api: Api) -> None:
    for attempt in range(3):
        answer = api.http.post("/v1/jobs/import", content=b'{"job_type":"again","idempotency_key":"again"}')
        last = json.loads(answer.text.splitlines()[-1])["summary"]
        assert last == summary(1, created=int(attempt == 0), existing=int(attempt > 0))


def test_an_import_that_its_caller_cut_is_completed_by_a_repeat(api: Api, database: str) -> None:
    with importing(api) as cut:
        cut.send("cut", range(5500))
        cut.read(2000)
    with importing(api) as stream:
        stream.send("cut", range(6000))
        stream.finish()
        stream.read_all()
    assert stream.summary is not None
    assert stream.summary["created"] + stream.summary["existing"] == stream.summary["lines"] == 6000
    assert [answer["id"] for answer in stream.answers[:2000]] == [answer["id"] for answer in cut.answers[:2000]]
    found = stored(database, "cut")
    assert sorted(found.values()) == sorted(f"cut-{number}" for number in range(6000))
    assert {answer["id"] for answer in stream.answers[:-1]} == found.keys()
    assert not api.logged("request.failed")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_what_was_answered_is_stored_when_the_service_ends_in_the_middle(
    database: str, place: Path, number: signal.Signals, code: int
) -> None:
    job_type = f"ended.{number.name}"
    with Api(database, log=place / f"{job_type}.log") as api, importing(api) as stream:
        reading = threading.Thread(target=stream.read_all)
        sent, is_over = 0, False
        while not is_over:
            try:
                stream.send(job_type, range(sent, sent + 500))
            except OSError:
                is_over = True
            sent += 500
            if sent == 500:
                reading.start()
            if sent == 20_000:
                api.send(number)
        assert api.exit_code(within=8) == code
        reading.join()
    found = stored(database, job_type)
    assert (stream.has_ended, stream.summary) == (number == signal.SIGTERM, None)
    answered = {answer["id"]: f"{job_type}-{answer['line'] - 1}" for answer in stream.answers}
    assert answered.items() <= found.items()
    if number == signal.SIGTERM:
        assert answered == found


def test_an_import_that_the_database_interrupts_is_completed_by_a_repeat(
    mortal: Mortal, mortal_database: str, place: Path
) -> None:
    count = 30_000
    with Api(mortal_database, log=place / "interrupted.log") as api:
        api.until_ready()
        with importing(api) as stream:
            reading = threading.Thread(target=stream.read_all)
            reading.start()
            for start in range(0, count // 2, 1000):
                stream.send("interrupted", range(start, start + 1000))
            until(lambda: len(stream.answers) >= 3000, "some answers")
            with mortal.gone():
                for start in range(count // 2, count, 1000):
                    stream.send("interrupted", range(start, start + 1000))
                stream.finish()
                reading.join()
        answers = stream.answers
        assert (stream.has_ended, stream.summary) == (True, None)
        assert {answer["error"]["code"] for answer in answers if "error" in answer} == {"storage_unavailable"}
        api.until_ready()
        with importing(api) as stream:
            for start in range(0, count, 1000):
                stream.send("interrupted", range(start, start + 1000))
            stream.finish()
            stream.read_all()
    found = stored(mortal_database, "interrupted")
    assert stream.summary is not None
    assert stream.summary["lines"] == stream.summary["created"] + stream.summary["existing"] == count
    assert sorted(found.values()) == sorted(f"interrupted-{number}" for number in range(count))
    kept = {answer["id"]: f"interrupted-{answer['line'] - 1}" for answer in answers if "id" in answer}
    assert kept.items() <= found.items()
