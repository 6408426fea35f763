"""Behind a handler's context in a worker: shared writes, patience, and threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from uuid import UUID

import pytest

from dataqueue.domain.job import Json, Lease, Note
from dataqueue.domain.steps import NewStep, Step, StepKind, StepOutcome
from dataqueue.errors import LeaseLost, StorageRefused, StorageUnavailable
from dataqueue.processing import backoff
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.processing.local_work import Durable, LocalWork
from dataqueue.processing.threads import ThreadPool
from tests.unit.claimed import a_claimed_job


class Shelf:
    """A step log, and a worker's side of it, as a test answers."""

    def __init__(self, *errors: Exception, refuses: str = "", is_ours: bool = True) -> None:
        self.errors, self.refuses, self.is_ours = list(errors), refuses, is_ours
        self.writes: list[list[str]] = []
        self.reads: list[int] = []
        self.gone: list[Held] = []
        self.noted: list[Note] = []
        self.prolonged: list[int | None] = []
        self.table = LeaseTable(lease=30)
        self.threads = ThreadPool(name="test")
        self.durable = Durable(steps=self, tokens=self, notes=self, callback_url=_nowhere, lost=self.gone.append)  # type: ignore[arg-type]

    def work(self) -> LocalWork:
        [self.held] = self.table.take([a_claimed_job()], sent=time.monotonic())
        return LocalWork(self.held, self, self.threads, durable=self.durable)

    async def of_jobs(self, job_ids: Sequence[UUID]) -> list[list[Step]]:
        self.reads.append(len(job_ids))
        return [[] for _ in job_ids]

    async def save(self, steps: Sequence[tuple[Lease, NewStep]]) -> list[Step | None]:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        if any(step.name == self.refuses for _, step in steps):
            raise StorageRefused("no")
        self.writes.append([step.name for _, step in steps])
        return [_stored(step) if self.is_ours else None for _, step in steps]

    def add(self, _: Held, note: Note) -> None:
        self.noted.append(note)

    def prolong(self, _: Held, ms: int | None) -> None:
        self.prolonged.append(ms)


async def _nowhere(_: object) -> str:
    return "http://nowhere"


def _stored(step: NewStep) -> Step:
    return Step(name=step.name, kind=StepKind.RUN, outcome=StepOutcome.OK, value=step.value)


def a_step(name: str) -> NewStep:
    return NewStep(name=name, value=Json("1"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)


async def test_logs_of_many_jobs_are_read_together() -> None:
    shelf = Shelf()
    await asyncio.gather(*(shelf.work().steps() for _ in range(7)))
    assert shelf.reads == [7]


async def test_steps_of_many_jobs_are_stored_together() -> None:
    shelf = Shelf()
    stored = await asyncio.gather(*(shelf.work().save_step(a_step(name)) for name in "abcd"))
    assert [step.name for step in stored] == list("abcd")
    assert [name for write in shelf.writes for name in write] == list("abcd")
    assert len(shelf.writes) <= 2


async def test_a_step_waits_for_a_storage_that_is_away() -> None:
    shelf = Shelf(StorageUnavailable("gone"), StorageUnavailable("gone"))
    assert (await shelf.work().save_step(a_step("a"))).name == "a"
    assert shelf.writes == [["a"]]


async def test_it_waits_no_longer_than_the_job_is_ours() -> None:
    shelf = Shelf(*(StorageUnavailable("gone") for _ in range(1000)))
    work = shelf.work()
    saving = asyncio.create_task(work.save_step(a_step("a")))
    await asyncio.sleep(0)
    shelf.table.tell(shelf.held, Stop.LOST)
    with pytest.raises(StorageUnavailable):
        await saving


async def test_a_step_that_is_refused_is_its_own_handlers_trouble_alone() -> None:
    shelf = Shelf(refuses="c")
    results = await asyncio.gather(*(shelf.work().save_step(a_step(name)) for name in "abcd"), return_exceptions=True)
    assert [type(one) for one in results] == [Step, Step, StorageRefused, Step]


async def test_a_lost_lease_is_raised_and_told() -> None:
    shelf = Shelf(is_ours=False)
    work = shelf.work()
    with pytest.raises(LeaseLost):
        await work.save_step(a_step("a"))
    assert shelf.gone == [shelf.held]


async def test_plain_functions_run_in_threads_with_the_context_of_their_caller() -> None:
    shelf, variable = Shelf(), ContextVar("variable", default="")
    variable.set("mine")
    assert await shelf.work().call(lambda: (variable.get(), threading.current_thread().name)) == ("mine", "test-1")


async def test_what_a_plain_function_raises_reaches_its_caller() -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as raised:
        await Shelf().work().call(fail)
    assert raised.value is error


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), GeneratorExit()])
async def test_a_plain_function_cannot_end_the_loop(error: BaseException) -> None:
    def leave() -> None:
        raise error

    [told] = await asyncio.gather(Shelf().work().call(leave), return_exceptions=True)
    assert type(told) is RuntimeError
    assert type(error).__name__ in str(told)


async def test_notes_and_prolongations_may_come_from_any_thread() -> None:
    shelf = Shelf()
    work = shelf.work()

    def speak() -> None:
        work.note(Note(progress=1))
        work.prolong(5)

    await asyncio.to_thread(speak)
    work.note(Note(progress=2))
    await asyncio.sleep(0)
    assert (shelf.noted, shelf.prolonged) == ([Note(progress=1), Note(progress=2)], [5])


async def test_a_handler_that_was_told_to_stop_has_no_say_any_more() -> None:
    shelf = Shelf()
    work = shelf.work()
    shelf.table.tell(shelf.held, Stop.TIMED_OUT)
    work.note(Note(progress=1))
    assert shelf.noted == []
