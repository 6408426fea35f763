"""A job that is run by hand, call by call of its handler, through the very code that a worker runs it by."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic_core import from_json

from dataqueue.clock import ManualClock
from dataqueue.context import JobToken
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import NULL, Failure, FailureReason, Json, NewJob, Note
from dataqueue.domain.steps import StepKind
from dataqueue.errors import Conflict, Invalid
from dataqueue.handlers import Handler
from dataqueue.json_text import Unstorable, json_text
from dataqueue.outcome import Completed, Failed, Outcome, Suspended
from dataqueue.processing.attempt import attempt, attempt_sync, timed_out
from dataqueue.testing.memory import NAMESPACE, Memory, OpenWait, TokenSeen
from dataqueue.testing.recording import Record, recorded
from dataqueue.testing.work import MemoryWork

TokenName: TypeAlias = JobToken | TokenSeen | UUID | str

_DEFAULT_ATTEMPTS: Final = 3
_MOST_CRASHES: Final = 3
_TELL_AGAIN: Final = 0.1
_PATIENCE: Final = 10.0
_LOOK_AGAIN: Final = 0.001


class DurableRun:
    """A job in a test. It is not thread-safe, and each of its methods that wait may be in another event loop.

    `status`: "new"; "running" only after `begin()`; "waiting"; "completed"; "failed", which is what the last attempt
    did, see `will_retry`; "crashed", its process is dead and another may take it.
    """

    def __init__(self, handler: Handler, new: NewJob, *, clock: ManualClock, tokens: Sequence[UUID]) -> None:
        self.clock: Final = clock
        """Nothing happens by itself when it is moved: see `resume`."""
        # No Literal: a type checker would take what a test has asserted before a call for what is so after it.
        self.status: str = "new"
        self.failure: Failure | None = None
        """How the last attempt failed: `message`, `type`, `reason`, `retry_after`."""
        self.notes: Final[list[Note]] = []
        """What the handler said while it worked: `progress`, `output` (JSON text), `prolonged_ms`."""
        self.job_id: Final = new.id
        self._record = Record(self._check_alive)
        self._handler, self._new = recorded(handler, self._record), new
        self._memory = Memory(new.id, clock, tokens=tokens)
        self._attempt, self._invocation, self._crashes = 1, 0, 0
        self._max_attempts = new.max_attempts or _DEFAULT_ATTEMPTS
        self._created_at = clock.now()
        self._output: Json | None = None
        self._waits: tuple[str, ...] = ()
        self._crash_at: dict[str, bool] = {}
        self._calls_before: Counter[str] = Counter()
        self._work: MemoryWork | None = None
        self._task: asyncio.Task[Outcome] | None = None

    def __repr__(self) -> str:
        said = self.status
        if self.failure is not None:
            said += f" by {self.failure.type}: {self.failure.message}"
        if self._waits:
            said += f" for {', '.join(self._waits)}"
        return f"<DurableRun of {self._new.job_type}, {said}>"

    @property
    def exception(self) -> BaseException | None:
        """What the handler raised in the last attempt, if it failed by that."""
        return self._record.exception

    @property
    def calls(self) -> Counter[str]:
        """How often the function of each step was called, by the step's name; those that raised, too."""
        return self._record.calls

    @property
    def output(self) -> Any:
        """The job's output as it stands, parsed; None if there is none."""
        return from_json(self._output or NULL)

    @property
    def steps(self) -> dict[str, Any]:
        """What `ctx.run` has stored, by name, the first stored first."""
        kept = (step for step in self._memory.steps() if step.kind is StepKind.RUN)
        return {step.name: from_json(step.value or NULL) for step in kept}

    @property
    def progress(self) -> list[int]:
        """Each progress that the handler has said, in order."""
        return [note.progress for note in self.notes if note.progress is not None]

    @property
    def tokens(self) -> list[TokenSeen]:
        """In the order in which they were made."""
        return self._memory.tokens()

    @property
    def waiting_for(self) -> tuple[OpenWait, ...]:
        """The waits at which the handler was ended: the first that is over resumes it."""
        return tuple(self._memory.open_wait(name) for name in self._waits)

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1. A wait uses none up, nor does a crash."""
        return self._attempt

    @property
    def invocations(self) -> int:
        """How often the handler was called."""
        return self._invocation

    @property
    def will_retry(self) -> bool:
        """Whether the queue would try a job that failed again by itself."""
        failure = self.failure
        return failure is not None and failure.retry_after is not None and self._attempt < self._max_attempts

    @property
    def deadline(self) -> datetime | None:
        """When the time of the handler that runs is up."""
        return None if self._work is None or self.status != "running" else self._work.deadline

    async def start(self) -> None:
        """Call the handler for the first time. Conflict: it was."""
        self._check(self.status == "new", "start")
        await self._go()

    async def resume(self) -> None:
        """Call the handler again, as a worker does once it may: when a wait is over, or after a crash. Conflict: not
        yet."""
        self._check(self.status == "crashed" or self._is_due, "resume")
        await self._go()

    async def skip_wait(self) -> None:
        """Move the clock to the end of the first wait, and call the handler again. Conflict: it waits for nothing that
        ends by itself."""
        ends = [wait.until for wait in self.waiting_for if wait.until is not None]
        self._check(bool(ends), "skip_wait")
        self._move_to(min(ends))
        await self._go()

    async def complete_token(self, output: Any = None, *, token: TokenName | None = None) -> None:
        """Complete a token, as its callback URL does; a job that waits for it resumes.

        `token`: itself, its id, or the name of the step that made it; without it the one that the job waits for.
        Conflict: there is no such token, or not just one, or it was completed with another output. TokenExpired.
        """
        token_id = self._token(token)
        try:
            self._memory.complete(token_id, json_text(output))
        except Unstorable as error:
            raise Invalid(f"the output of a token {error}") from error.__cause__
        if self._is_due:
            await self._go()

    async def expire_token(self, *, token: TokenName | None = None) -> None:
        """Move the clock to the end of a token's time; a job that waits for it resumes. `token`: as above. Conflict,
        also of one that never expires or has ended."""
        token_id = self._token(token)
        [seen] = [seen for seen in self.tokens if seen.id == token_id]
        if seen.timeout_at is None or seen.status != "waiting":
            raise Conflict(f"token {seen.name or seen.id} is {seen.status}, and its timeout is {seen.timeout}")
        self._move_to(seen.timeout_at)
        if self._is_due:
            await self._go()

    async def retry(self) -> None:
        """The next attempt of a job that failed: when the queue would make it, to which the clock is moved; or, of one
        that has failed for good, as `POST /v1/jobs/{id}/retry` does, which grants one. Steps are kept."""
        self._check(self.status == "failed", "retry")
        if self.will_retry and self.failure is not None and self.failure.retry_after is not None:
            self.clock.advance(self.failure.retry_after)
        else:
            self._max_attempts, self._crashes = max(self._max_attempts, self._attempt + 1), 0
        self._attempt += 1
        await self._go()

    def crash_at(self, step: str, *, stored: bool = False) -> None:
        """The process dies the next time that a step, or a token, of this name is done: before its result is stored,
        or right after. `status` is then "crashed"; see `resume`. What a handler does in `finally` is still done."""
        self._crash_at[step] = stored

    def begin(self) -> None:
        """As `start` and `resume`, without waiting: the handler runs beside the test."""
        self._check(self.status in ("new", "crashed") or self._is_due, "begin")
        self._call()

    async def reached(self, step: str) -> None:
        """Wait until the function of a step is called by the handler that runs. Conflict: it ends without."""
        await self.until(lambda: self.calls[step] > self._calls_before[step])

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so of the handler that runs. Conflict: it ends, or ten seconds pass, without."""
        self._check(self.status == "running", "until")
        assert self._task is not None
        async with asyncio.timeout(_PATIENCE):
            while not condition():
                if self._task.done():
                    raise Conflict("the handler has ended before")
                await asyncio.sleep(_LOOK_AGAIN)

    async def finish(self) -> None:
        """Wait until the handler that runs waits or has ended."""
        self._check(self.status == "running", "finish")
        await self._until_ended()

    async def time_out(self) -> bool:
        """The time of the handler that runs is up, and the clock is moved there. Whether it has asked for more, by
        `on_timeout`; else it is cancelled, or if a thread told so by `ctx.cancelled`, and the attempt has failed."""
        work = self._work
        self._check(self.status == "running", "time_out")
        if work is None or work.deadline is None:
            raise Conflict("the job has no timeout_ms")
        self._move_to(work.deadline)
        if work.asks_for_more():
            return True
        work.is_over = True
        await self._until_ended()
        return False

    async def _go(self) -> None:
        self._call()
        await self._until_ended()

    def _call(self) -> None:
        self.status, self.failure, self._waits = "running", None, ()
        self._invocation += 1
        self._record.exception, self._calls_before = None, Counter(self.calls)
        job = self._claimed()
        self._work = MemoryWork(
            job, self._memory, self.clock, crash=lambda step: self._crash_at.pop(step, None), noted=self._noted
        )
        self._task = asyncio.create_task(self._outcome(job, self._work))

    async def _outcome(self, job: ClaimedJob, work: MemoryWork) -> Outcome:
        if self._handler.is_async:
            return await attempt(self._handler, job, work)
        return await asyncio.to_thread(attempt_sync, self._handler, job, work)

    async def _until_ended(self) -> None:
        while self.status == "running":
            work, task = self._work, self._task
            assert work is not None
            assert task is not None
            await _ended_or_over(task, work)
            while not task.done():
                if self._handler.is_async:
                    # Again and again: a handler may swallow it.
                    task.cancel()
                await asyncio.wait({task}, timeout=_TELL_AGAIN)
            if task is not self._task or self.status != "running":
                # Somebody else waited for it, too.
                return
            if work.is_over:
                self._settle_over(work)
            else:
                self._settle(task.result())
            if self._is_due:
                self._call()

    def _settle(self, outcome: Outcome) -> None:
        match outcome:
            case Completed(output):
                self.status = "completed"
                self._output = output or self._output
            case Suspended(waits):
                self.status = "waiting"
                self._memory.suspend(waits)
                self._waits = tuple(wait.name for wait in waits)
            case Failed(failure):
                self.status, self.failure = "failed", failure
            case _:
                self.status = "crashed"

    def _settle_over(self, work: MemoryWork) -> None:
        if not work.has_crashed:
            self._settle(timed_out(work.job))
            return
        self.status = "crashed"
        self._crashes += 1
        if self._crashes > _MOST_CRASHES:
            self._settle(Failed(Failure("its process died", type="Crashed", reason=FailureReason.CRASHED)))

    def _claimed(self) -> ClaimedJob:
        new = self._new
        return ClaimedJob(
            id=new.id,
            namespace=NAMESPACE,
            job_type=new.job_type,
            payload=new.payload,
            tags=new.tags,
            priority=new.priority,
            attempts=self._attempt,
            max_attempts=self._max_attempts,
            crashes=self._crashes,
            invocation=self._invocation,
            timeout_ms=new.timeout_ms,
            retry=new.retry,
            run_at=self._created_at,
            created_at=self._created_at,
            locked_at=self.clock.now(),
            force_kill_on_timeout=new.force_kill_on_timeout,
            has_steps=bool(self._memory.steps()),
        )

    @property
    def _is_due(self) -> bool:
        return self.status == "waiting" and any(map(self._memory.is_over, self._waits))

    def _token(self, which: TokenName | None) -> UUID:
        if which is not None:
            return self._memory.find_token(which if isinstance(which, UUID | str) else which.id)
        awaited = [wait.token_id for wait in self.waiting_for if wait.token_id is not None]
        if len(awaited) != 1:
            raise Conflict(f"{self!r} waits for {len(awaited)} tokens: say which is meant")
        return awaited[0]

    def _move_to(self, instant: datetime) -> None:
        """Never back."""
        self.clock.advance(max(instant - self.clock.now(), timedelta(0)))

    def _noted(self, note: Note) -> None:
        self.notes.append(note)
        if note.output is not None:
            self._output = note.output

    def _check(self, may: bool, verb: str) -> None:
        if not may:
            raise Conflict(f"cannot {verb} {self!r}")

    def _check_alive(self) -> None:
        if self._work is not None:
            self._work.check_alive()


async def _ended_or_over(task: asyncio.Task[Outcome], work: MemoryWork) -> None:
    if work.is_over:
        return
    crash = asyncio.create_task(work.crashed.wait())
    try:
        await asyncio.wait({task, crash}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        crash.cancel()
