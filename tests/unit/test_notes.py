"""What handlers say while they work is written now and then, the last word before the outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
import structlog

from dataqueue.domain.job import Json, Lease, Note, Reported
from dataqueue.errors import StorageRefused, StorageUnavailable
from dataqueue.processing import backoff
from dataqueue.processing.leases import Held, LeaseTable
from dataqueue.processing.notes import Notes
from tests.unit.claimed import a_claimed_job
from tests.unit.virtual_time import in_virtual_time


class Board:
    """Where notes are written, as a test answers."""

    def __init__(self, *errors: Exception, lost: bool = False, refuses: Note | None = None) -> None:
        self.errors, self.lost, self.refuses = list(errors), lost, refuses
        self.writes: list[list[Note]] = []
        self.written = asyncio.Event()
        self.told: list[Note] = []
        self.gone: list[Held] = []
        self.notes = Notes(jobs=self, lost=self.gone.append, told=lambda _, note: self.told.append(note))  # type: ignore[arg-type]

    async def note(self, leases: Sequence[Lease], *, notes: Sequence[Note]) -> list[Reported]:
        await asyncio.sleep(0.001)
        if self.errors:
            raise self.errors.pop(0)
        if self.refuses in notes:
            raise StorageRefused("no")
        self.writes.append(list(notes))
        self.written.set()
        return [Reported.LOST if self.lost else Reported.OK] * len(leases)


def a_job() -> Held:
    [held] = LeaseTable(lease=30).take([a_claimed_job()], sent=time.monotonic())
    return held


def test_ten_thousand_notes_in_a_second_make_few_writes_and_the_last_one_lands() -> None:
    board = Board()

    async def say() -> None:
        held = a_job()
        for n in range(10_000):
            board.notes.add(held, Note(progress=n // 100))
            if n % 10 == 0:
                await asyncio.sleep(0.001)
        await board.notes.settle()

    in_virtual_time(say())
    assert len(board.writes) <= 4
    assert board.writes[-1] == [Note(progress=99)]
    assert board.told[-1] == Note(progress=99)


def test_the_first_note_is_written_at_once() -> None:
    board = Board()

    async def say() -> float:
        board.notes.add(a_job(), Note(progress=1))
        await board.written.wait()
        return asyncio.get_running_loop().time()

    assert in_virtual_time(say()) < 0.01


async def test_notes_of_one_job_are_put_together_and_those_of_many_written_together() -> None:
    board, first, second = Board(), a_job(), a_job()
    board.notes.add(first, Note(progress=1))
    board.notes.add(first, Note(output=Json("2")))
    board.notes.add(first, Note(progress=3, prolonged_ms=4))
    board.notes.add(second, Note(progress=5))
    await board.notes.settle()
    assert board.writes == [[Note(progress=3, output=Json("2"), prolonged_ms=4), Note(progress=5)]]


async def test_the_outcome_waits_for_the_last_note_and_for_nothing_else() -> None:
    board, held, other = Board(), a_job(), a_job()
    after: list[object] = []
    board.notes.add(held, Note(progress=1))
    board.notes.when_written(held, lambda: after.append(list(board.writes)))
    board.notes.when_written(other, lambda: after.append("at once"))
    assert after == ["at once"]
    await board.notes.settle()
    assert after == ["at once", [[Note(progress=1)]]]


async def test_an_outcome_does_not_wait_out_the_pause_between_two_writes() -> None:
    board, held = Board(), a_job()
    board.notes.add(held, Note(progress=1))
    await board.written.wait()
    board.notes.add(held, Note(progress=2))
    done = asyncio.Event()
    board.notes.when_written(held, done.set)
    async with asyncio.timeout(0.4):
        await done.wait()
    assert board.writes[-1] == [Note(progress=2)]


async def test_while_the_storage_is_away_the_newest_word_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)
    board, held = Board(StorageUnavailable("gone"), RuntimeError("a bug")), a_job()
    board.notes.add(held, Note(progress=1, output=Json("1")))
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(0)
        board.notes.add(held, Note(progress=2))
        await board.notes.settle()
    assert board.writes == [[Note(progress=2, output=Json("1"))]]
    assert [line["event"] for line in logs] == ["notes.waiting"]


async def test_what_the_storage_refuses_is_left_out_and_holds_up_nobody() -> None:
    bad = Note(output=Json('"bad"'))
    board, jobs = Board(refuses=bad), [a_job() for _ in range(5)]
    done: list[Held] = []
    for n, held in enumerate(jobs):
        board.notes.add(held, bad if n == 3 else Note(progress=n))
        board.notes.when_written(held, lambda held=held: done.append(held))  # type: ignore[misc]
    await board.notes.settle()
    assert sorted(note.progress or 0 for write in board.writes for note in write) == [0, 1, 2, 4]
    assert done == jobs


async def test_a_job_that_somebody_else_has_is_told_of() -> None:
    board, held = Board(lost=True), a_job()
    board.notes.add(held, Note(progress=1))
    await board.notes.settle()
    assert (board.gone, board.told) == ([held], [])


async def test_of_a_job_that_is_gone_nothing_more_is_written() -> None:
    board, held = Board(), a_job()
    board.notes.add(held, Note(progress=1))
    board.notes.drop(held)
    await board.notes.settle()
    assert board.writes == []
