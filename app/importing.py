"""Importing: jobs are stored while they arrive, in order, a thousand at a time, and answered as fast as they are read.

Three things go on at once, and none waits for the caller to read: lines are read and checked, the thousand before them
is being written, and answers are sent. Answers that the caller does not read yet wait in a `Spool`. One write of an
import is under way at a time, so that the order of the lines is the order of the jobs, and of two lines with the same
idempotency key the first is the job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import orjson
import structlog
from starlette.types import Receive, Send

from app.edge import ClientGone
from app.errors import Code, Problem, problem_of
from app.lines import LineReader, Lines, Rejected
from app.spool import IN_MEMORY, Spool
from dataqueue.domain.job import Enqueued, NewJob
from dataqueue.enqueuing import LARGEST_WRITE, Unit
from dataqueue.errors import NotFound, StorageNotReady, StorageUnavailable

NDJSON: Final = "application/x-ndjson"
_WEIGHT_BITS: Final = 12  # of a line: one more for each 4 KiB
_TURN: Final = 20  # lines after which others get the processor
_SILENCE: Final = 0.05
_LONGEST_STALL: Final = 120.0
_MOST_WRITES: Final = 2
_START: Final = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", NDJSON.encode())]}
_STOPPING: Final = "This process is about to stop; no line was stored. Send them again."
_log = structlog.get_logger(__name__)


class _Writer(Protocol):
    async def write(self, units: Sequence[Unit]) -> list[list[Enqueued] | Exception]: ...


class Imports:
    """The imports of a process: how much they may do at once, and their end when the process is to stop."""

    def __init__(self) -> None:
        # Beside them those who enqueue one by one want their share of the storage.
        self.turns = asyncio.Semaphore(_MOST_WRITES)
        self._running: set[Import] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def run(self, an_import: Import, receive: Receive, send: Send) -> None:
        """Do it, or as much of it as there is time for."""
        self._running.add(an_import)
        if self._is_closed:
            an_import.stop()
        try:
            await an_import.run(receive, send)
        finally:
            self._running.discard(an_import)

    def begin(self, write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A write that goes on when its caller leaves."""
        task = asyncio.create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    def close(self) -> None:
        """Have every import, now and from now on, answer what it has read and end."""
        self._is_closed = True
        for an_import in self._running:
            an_import.stop()

    async def settle(self) -> None:
        """Wait for the writes under way."""
        if self._writes:
            await asyncio.wait(self._writes)


class _Batch:
    """Lines that are written together: their numbers, and what was made of them."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, NewJob | Rejected]] = []
        self._weight = 0

    def add(self, number: int, made: NewJob | Rejected, *, length: int) -> None:
        self.lines.append((number, made))
        self._weight += 1 + (length >> _WEIGHT_BITS)

    @property
    def is_full(self) -> bool:
        return self._weight >= LARGEST_WRITE

    @property
    def jobs(self) -> list[NewJob]:
        return [made for _, made in self.lines if isinstance(made, NewJob)]


class Import:
    """One import. `stored` is told the jobs that were stored."""

    def __init__(
        self,
        imports: Imports,
        *,
        reader: LineReader,
        writer: _Writer,
        stored: Callable[[list[NewJob]], None],
    ) -> None:
        self._imports, self._reader, self._writer, self._stored = imports, reader, writer, stored
        self._batch = _Batch()
        self._writing: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unavailable: Exception | None = None
        self._has_answered = False
        self._number = self._created = self._existing = self._rejected = 0

    def stop(self) -> None:
        """Read no further."""
        if not self._over.done():
            self._over.set_result(None)

    async def run(self, receive: Receive, send: Send) -> None:
        """Store and answer. ClientGone when the caller left: what it had sent is stored.

        StorageUnavailable and its like, as long as nothing was answered; later the answers end with what was not
        stored, and without a summary.
        """
        with Spool(in_memory=IN_MEMORY) as self._spool:
            sending = asyncio.create_task(self._send(send))
            try:
                is_whole = await self._read_all(receive)
                if not is_whole and not self._has_answered:
                    raise self._unavailable or Problem(503, Code.STORAGE_NOT_READY, _STOPPING)
                if is_whole:
                    self._spool.add(self._summary())
                self._spool.end()
                await self._sent(sending)
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending

    async def _read_all(self, receive: Receive) -> bool:
        """Take the lines as they come, and see them stored; says whether that was all of them."""
        lines = Lines(longest=self._reader.max_line_bytes)
        receiving: asyncio.Task[Any] | None = None
        is_whole = is_gone = False
        try:
            while not (is_whole or is_gone or self._over.done()):
                receiving = receiving or asyncio.create_task(receive())  # type: ignore[arg-type]
                message = await self._received(receiving)
                if message is None:
                    continue
                receiving = None
                is_gone = message["type"] != "http.request"
                is_whole = not is_gone and not message.get("more_body", False)
                found = lines.feed(message.get("body", b""))
                await self._take(found + lines.end() if is_whole else found)
        finally:
            if receiving is not None:
                receiving.cancel()
        await self._hand_over()
        await self._written()
        if is_gone:
            raise ClientGone
        return is_whole and self._unavailable is None

    async def _received(self, receiving: asyncio.Task[Any]) -> Any:
        """The next message. None: nothing came for a while, and lines that waited for company are being written."""
        patience = _SILENCE if self._batch.lines else None
        await asyncio.wait({receiving, self._over}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            return receiving.result()
        await self._hand_over()
        return None

    async def _take(self, lines: list[bytes | None]) -> None:
        for line in lines:
            self._number += 1
            if self._number % _TURN == 0:
                await asyncio.sleep(0)
            if line is not None and (not line or line.isspace()):
                continue
            self._batch.add(self._number, self._reader.read(line), length=len(line or b""))
            if self._batch.is_full:
                await self._hand_over()
                if self._over.done():
                    return

    async def _hand_over(self) -> None:
        """Begin to write what was read, after what was read before it."""
        await self._written()
        if self._batch.lines and self._unavailable is None:
            self._writing = self._imports.begin(self._write(self._batch))
            self._batch = _Batch()

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write(self, batch: _Batch) -> None:
        jobs = batch.jobs
        answers: dict[int, Enqueued | Exception] = {}
        async with self._imports.turns:
            # Apart, because a keyed write may wait for somebody's open transaction.
            for keyed in (False, True):
                if part := [job for job in jobs if job.is_keyed is keyed]:
                    written = await self._writer.write([(job,) for job in part])
                    for job, answer in zip(part, written, strict=True):
                        answers[id(job)] = answer if isinstance(answer, Exception) else answer[0]
        self._note(jobs, answers)
        is_stored = any(isinstance(answer, Enqueued) for answer in answers.values())
        if self._unavailable is None or self._has_answered or is_stored:
            self._answer(batch, answers)

    def _note(self, jobs: list[NewJob], answers: dict[int, Enqueued | Exception]) -> None:
        """See to what was stored, and whether it makes sense to go on."""
        self._stored([job for job in jobs if not isinstance(answers[id(job)], Exception)])
        for answer in answers.values():
            if isinstance(answer, (StorageUnavailable, StorageNotReady, NotFound)):
                self._unavailable = answer
                self.stop()
                return

    def _answer(self, batch: _Batch, answers: dict[int, Enqueued | Exception]) -> None:
        self._has_answered = True
        written = []
        for number, made in batch.lines:
            answer = made if isinstance(made, Rejected) else answers[id(made)]
            if isinstance(answer, Enqueued):
                if answer.created:
                    self._created += 1
                    written.append(f'{{"line":{number},"id":"{answer.id}","created":true}}\n')
                else:
                    self._existing += 1
                    written.append(f'{{"line":{number},"id":"{answer.id}","created":false}}\n')
            else:
                self._rejected += 1
                why = answer if isinstance(answer, Rejected) else _rejected(answer)
                error = orjson.dumps({"line": number, "error": why._asdict()})
                written.append(error.decode() + "\n")
        self._spool.add("".join(written).encode())

    def _summary(self) -> bytes:
        counts = {"created": self._created, "existing": self._existing, "rejected": self._rejected}
        return orjson.dumps({"summary": {"lines": sum(counts.values()), **counts}}) + b"\n"

    async def _send(self, send: Send) -> None:
        """The answers, as fast as they are taken; nothing at all before there is one."""
        has_begun = False
        async for piece in self._spool.pieces():
            if not has_begun:
                await send(_START)
                has_begun = True
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if has_begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _sent(self, sending: asyncio.Task[None]) -> None:
        """Wait until the caller has taken everything. ClientGone when it stands still for long."""
        while not sending.done():
            before = self._spool.taken
            await asyncio.wait({sending}, timeout=_LONGEST_STALL)
            if not sending.done() and self._spool.taken == before:
                raise ClientGone
        await sending


def _rejected(error: Exception) -> Rejected:
    problem = problem_of(error)
    if problem.status == 500:
        _log.error("import.line_refused", error=str(error))
    return Rejected(problem.code, problem.detail)
