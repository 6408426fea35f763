"""Random handlers, and a random history of crashes at any storage call, of reclaims, cancels and completions: each
comes to what it would have come to without, does nothing again that was stored, and uses no attempt for a wait."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataqueue import HandlerRegistry, JobContext
from dataqueue.clock import ManualClock
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.job import Failure, Job, JobStatus, Json, Lease, NewJob, Note, Reported
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import TokenFilter, TokenStatus
from dataqueue.ids import new_id
from dataqueue.outcome import Completed, Failed, Outcome, Suspended
from dataqueue.processing.attempt import attempt
from dataqueue.processing.leases import LeaseTable
from dataqueue.processing.local_work import Durable, LocalWork
from dataqueue.processing.threads import ThreadPool
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.processing.random_programs import PROGRAMS, Program, World, ended_in, names_of, outcome_of, play
from tests.storage.given import NAMESPACE, a_type, steps_of, told

LEASE: Final = timedelta(seconds=30)
SPANS: Final = (timedelta(seconds=1), LEASE + timedelta(seconds=1), timedelta(hours=4))
MOST: Final = 200
RETRY: Final = RetryPolicy(delay=1.0, backoff=False)
NO_CRASH: Final = 10**6


class Crash(Exception):
    """The process is gone: nothing is reported, and nothing that it waits for comes."""


class Mortal:
    """A step log and token store whose process dies at the n-th call, before that is done or after."""

    def __init__(self, storage: Storage, world: World, *, dies_at: int, done_before: bool) -> None:
        self._steps, self._tokens, self._world = storage.steps(NAMESPACE), storage.tokens(NAMESPACE), world
        self._calls_left, self._done_before = dies_at, done_before
        self.is_dead = False

    async def of_jobs(self, job_ids: Any) -> list[list[Step]]:
        steps: list[list[Step]] = await self._live(self._steps.of_jobs(job_ids))
        return steps

    async def get(self, token_id: Any) -> Any:
        return await self._live(self._tokens.get(token_id))

    async def save(self, steps: list[tuple[Lease, NewStep]]) -> list[Step | None]:
        stored: list[Step | None] = await self._live(self._save(steps))
        return stored

    async def _save(self, steps: list[tuple[Lease, NewStep]]) -> list[Step | None]:
        stored = await self._steps.save(steps)
        self._world.stored.update(step.name for step in stored if step is not None)
        return stored

    async def _live(self, call: Any) -> Any:
        self._calls_left -= 1
        if self.is_dead or (self._calls_left < 0 and not self._done_before):
            call.close()
            self.is_dead = True
            raise Crash
        answer = await call
        if self._calls_left < 0:
            self.is_dead = True
            raise Crash
        return answer

    def add(self, _: object, note: Note) -> None:
        raise AssertionError("these handlers say nothing")


class Life:
    """One job from its enqueue to its end."""

    def __init__(self, storage: Storage, clock: ManualClock, program: Program) -> None:
        self.storage, self.clock, self.program = storage, clock, program
        self.world = World(clock)
        self.registry = HandlerRegistry()
        self.job = NewJob(id=new_id(), job_type=a_type(), max_attempts=1000, retry=RETRY)
        self.registry.add(self.job.job_type, self._handle, local_names={"JobContext": JobContext})
        self.attempts, self.resumes = 0, False
        self.threads = ThreadPool(name="steps")

    async def _handle(self, ctx: JobContext) -> list[Any]:
        return await play(self.program, ctx, self.world)

    async def invoke(self, *, dies_at: int = NO_CRASH, done_before: bool = False) -> None:
        """Claim the job if it is ready, and call its handler; at call number `dies_at` the process dies."""
        jobs = self.storage.jobs(NAMESPACE)
        claimed = await jobs.claim([self.job.job_type], limit=1, worker_id="ann", lease=LEASE)
        if not claimed:
            return
        [job] = claimed
        self.attempts += 0 if self.resumes else 1
        assert job.attempts == self.attempts
        mortal = Mortal(self.storage, self.world, dies_at=dies_at, done_before=done_before)
        outcome = await attempt(self.registry[job.job_type], job, self._work(job, mortal))
        if not mortal.is_dead:
            await self._report(job, outcome, is_sent=dies_at % 5 != 4 or dies_at == NO_CRASH)

    def _work(self, job: ClaimedJob, mortal: Mortal) -> LocalWork:
        async def nowhere(_: object) -> str:
            return "http://nowhere"

        durable = Durable(steps=mortal, tokens=mortal, notes=mortal, callback_url=nowhere, lost=lambda _: None)  # type: ignore[arg-type]
        [held] = LeaseTable(lease=30).take([job], sent=0)
        return LocalWork(held, None, self.threads, durable=durable)  # type: ignore[arg-type]

    async def _report(self, job: ClaimedJob, outcome: Outcome, *, is_sent: bool) -> None:
        if not is_sent:
            return
        jobs = self.storage.jobs(NAMESPACE)
        match outcome:
            case Completed(output):
                answers = await jobs.complete([job.lease], outputs=[output])
            case Suspended(waits):
                answers = await jobs.suspend([job.lease], waits=[waits])
                self.resumes = True
            case Failed(Failure() as failure):
                answers = await jobs.fail([job.lease], failures=[failure])
                assert "fails" in failure.message, failure
                self.resumes = False
            case _:
                raise AssertionError(outcome)
        assert answers == [Reported.OK]
        if (await jobs.get(job.id)).status is JobStatus.CANCELLED:
            self.resumes = False

    async def pass_time(self, span: timedelta) -> None:
        """What is due becomes ready, and what is lost is taken back."""
        self.clock.advance(span)
        crashes = (await self.read()).crashes
        await self.storage.upkeep.stage(limit=100)
        await self.storage.upkeep.reclaim(limit=100, max_crashes=30_000)
        if (await self.read()).crashes > crashes:
            self.attempts -= 0 if self.resumes else 1

    async def complete_a_token(self, number: int, output: int) -> None:
        tokens = await self.tokens(TokenStatus.WAITING)
        if tokens:
            await self.storage.tokens(NAMESPACE).complete(tokens[number % len(tokens)].id, output=Json(str(output)))

    async def tokens(self, *statuses: TokenStatus) -> list[Any]:
        matching = TokenFilter(statuses=statuses, job_id=self.job.id)
        return (await self.storage.tokens(NAMESPACE).page(matching, before=None, limit=100)).tokens

    async def cancel_and_retry(self) -> None:
        """As somebody may who changes their mind."""
        jobs = self.storage.jobs(NAMESPACE)
        if (await jobs.get(self.job.id)).status in {JobStatus.PENDING, JobStatus.WAITING}:
            await jobs.cancel([self.job.id])
            await jobs.retry([self.job.id])
            self.resumes = False

    async def read(self) -> Job:
        return await self.storage.jobs(NAMESPACE).get(self.job.id)

    async def live_on(self) -> Job:
        """Without further trouble, until the job is done."""
        for _ in range(MOST):
            await self.invoke()
            if (job := await self.read()).status is JobStatus.COMPLETED:
                return job
            await self.complete_a_token(0, 7)
            await self.pass_time(SPANS[2])
        raise AssertionError(f"it does not end: {await self.read()}")

    async def check(self, job: Job) -> None:
        """It came to what it must, and nothing was done again."""
        tokens = ended_in(await self.tokens())
        answers = {name: tokens[token_id] for name, token_id in self.world.tokens.items()}
        assert json.loads(job.output or "null") == outcome_of(self.program, answers)
        assert job.attempts == self.attempts
        log = await steps_of(self.storage, job.id)
        assert sorted(step.name for step in log) == sorted(names_of(self.program))
        assert all(step.outcome is not None for step in log)
        assert len(tokens) == len(answers)
        seen = Counter(await told(self.storage, job.id))
        assert seen[EventName.STEP_COMPLETED] == sum(step.kind == "run" for step in log)
        assert seen[EventName.WAITING] <= seen[EventName.RESUMED] + seen[EventName.CANCELLED]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


def test_a_random_handler_comes_to_its_end_through_whatever_happens(storage_url: str, runner: asyncio.Runner) -> None:
    clock = ManualClock()
    storage = open_storage(storage_url, clock=clock)

    async def live(program: Program, data: st.DataObject) -> None:
        life = Life(storage, clock, program)
        await storage.jobs(NAMESPACE).enqueue([[life.job]])
        for _ in range(data.draw(st.integers(0, 12))):
            match data.draw(st.sampled_from(("invoke", "invoke", "crash", "crash", "time", "time", "token", "cancel"))):
                case "invoke":
                    await life.invoke()
                case "crash":
                    await life.invoke(dies_at=data.draw(st.integers(0, 9)), done_before=data.draw(st.booleans()))
                case "time":
                    await life.pass_time(data.draw(st.sampled_from(SPANS)))
                case "token":
                    await life.complete_a_token(data.draw(st.integers(0, 5)), data.draw(st.integers(0, 99)))
                case "cancel":
                    await life.cancel_and_retry()
        await life.check(await life.live_on())
        life.threads.close()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(program=PROGRAMS, data=st.data())
    def history(program: Program, data: st.DataObject) -> None:
        runner.run(live(program, data))

    try:
        history()
    finally:
        runner.run(storage.close())
