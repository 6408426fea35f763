"""What a handler may know of the job it is doing, and do for it, and nothing more."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, overload
from uuid import UUID

from pydantic_core import from_json

from dataqueue import job_fields as fields
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.durations import parse_duration
from dataqueue.domain.job import EARLIEST, LATEST, NULL, Note
from dataqueue.domain.limits import LONGEST_TIMEOUT_MS
from dataqueue.domain.steps import StepOutcome
from dataqueue.domain.tokens import NewToken
from dataqueue.errors import Invalid, Unsupported
from dataqueue.ids import new_id
from dataqueue.invocation import Invocation
from dataqueue.payloads import encode_output
from dataqueue.work import OnTimeout, Work

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobToken:
    """A token that a handler has made. `callback_url`: a POST there completes it, without a key."""

    id: UUID
    callback_url: str


@dataclass(frozen=True, slots=True)
class TokenResult:
    """What a token ended in. `ok`: it was completed, with `output`; else `error` says why not."""

    ok: bool
    output: Any = None
    error: str | None = None


class JobContext:
    """Given to a handler that takes a second argument.

    `run`, the waits and `create_token` make a handler durable: it may be called many times, and what it has done is
    not done again. They need an `async def` handler, and a job that is not killed on timeout.
    """

    __slots__ = ("_invocation", "_is_async", "_work", "job")

    def __init__(self, job: ClaimedJob, work: Work, invocation: Invocation, *, is_async: bool) -> None:
        self.job: Final = job
        self._work, self._invocation, self._is_async = work, invocation, is_async

    @property
    def attempt(self) -> int:
        """The number of this attempt: 1 for the first. Waits use none up."""
        return self.job.attempts

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled, taken away, ran out of time, or must be given back now.

        An async handler is interrupted by itself. One that runs in a thread looks here and returns early;
        whatever it returns then does not count.
        """
        return self._work.cancelled

    @property
    def step_id(self) -> str:
        """Inside a function that `run` calls: the same text in every attempt at this step, and of no other step. An
        idempotency key for whatever the step does outside."""
        return self._invocation.step_id()

    @overload
    def run(
        self, name: str, function: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def run(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, T]: ...
    def run(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call a function once in the life of the job: its result is stored before it is returned, and every later
        invocation gets it without a call.

        `name` is the step's, unique in the job. A function that is no `async def` runs in a thread. The result comes
        back as JSON would give it, the first time too. One that raises is not stored, and runs again in the next
        attempt; so does one whose process dies before its result is stored: see `step_id`.
        """
        self._check_durable("run")
        if not callable(function):
            raise Invalid(f"run: step {name!r}: give the function and its arguments, as in ctx.run({name!r}, f, x)")
        work = self._invocation.run(name, functools.partial(function, *args, **kwargs))
        return self._invocation.promise(f"run({name!r}, …)", work)

    def wait_for(
        self,
        duration: timedelta | None = None,
        *,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        weeks: float = 0,
        months: float = 0,
        years: float = 0,
        name: str | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Wait a while, without a worker. A month is 30 days, a year 365. Without a `name` it is known by its place
        among the handler's waits."""
        self._check_durable("wait_for")
        units = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days, "weeks": weeks}
        asked = {unit: n for unit, n in {**units, "months": months, "years": years}.items() if n}
        if (duration is None) is not bool(asked):
            raise Invalid("wait_for: say how long, by a timedelta or by units as in wait_for(hours=24)")
        delay = _duration_of(asked if duration is None else duration, "wait_for")
        return self._invocation.promise("wait_for(…)", self._invocation.sleep(name, delay=delay))

    def wait_until(self, instant: datetime, *, name: str | None = None) -> Coroutine[Any, Any, None]:
        """Wait for an instant, without a worker. It must have a time zone."""
        self._check_durable("wait_until")
        if instant.tzinfo is None:
            raise Invalid("wait_until: the datetime has no time zone; say which it is in, as datetime(…, tzinfo=UTC)")
        if not EARLIEST <= instant < LATEST:
            raise Invalid(f"wait_until: the years from {EARLIEST.year} to {LATEST.year - 1} can be waited for")
        work = self._invocation.sleep(name, until=instant.astimezone(UTC))
        return self._invocation.promise("wait_until(…)", work)

    def wait_for_token(
        self, token: JobToken | UUID | str, *, name: str | None = None
    ) -> Coroutine[Any, Any, TokenResult]:
        """Wait, without a worker, until somebody completes a token, or its time is up. NotFound: there is no such
        token."""
        self._check_durable("wait_for_token")
        token_id = token.id if isinstance(token, JobToken) else fields.uuid(token, ("token",))
        return self._invocation.promise("wait_for_token(…)", self._wait_for_token(name, token_id))

    def create_token(
        self, *, timeout: float | timedelta | str | None = None, tags: Sequence[str] = (), name: str | None = None
    ) -> Coroutine[Any, Any, JobToken]:
        """Make a token once in the life of the job. `timeout`: seconds, a timedelta, or text like "48h"; without one it
        never expires."""
        self._check_durable("create_token")
        lifetime = None if timeout is None else _duration_of(timeout, "timeout")
        new = NewToken(id=new_id(), timeout=lifetime, tags=fields.tags(tags, ("tags",)))
        return self._invocation.promise("create_token(…)", self._create_token(name, new))

    def set_progress(self, percent: float) -> Awaitable[None]:
        """Say how far the job is: 0 to 100, rounded. Said often, it is written now and then; the last one lands.

        There is nothing to wait for: a handler that is no `async def` calls it without `await`.
        """
        given: object = percent
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 100:
            raise Invalid("set_progress: give a number from 0 to 100")
        self._invocation.note(Note(progress=int(given + 0.5)))
        return _DONE

    def set_output(self, value: object) -> Awaitable[None]:
        """Set the job's output, which can be read while it runs. It wins over what the handler returns. As
        `set_progress`, for the rest."""
        output = NULL if value is None else encode_output(value)
        self._invocation.output = output
        self._invocation.note(Note(output=output))
        return _DONE

    def prolong(self, ms: int | None = None) -> None:
        """Let the time be up so many milliseconds from now; without a number, as many as the job had at first. A job
        without `timeout_ms` has no end to move."""
        self._check_not_killed("prolong")
        if ms is not None:
            fields.whole(ms, ("ms",), least=1, most=LONGEST_TIMEOUT_MS)
        if self.job.timeout_ms is not None:
            self._work.prolong(ms)

    def on_timeout(self, callback: OnTimeout) -> None:
        """Call a function when the time is up. It returns how much more is needed, milliseconds or a timedelta, or None
        to let the attempt end; and is asked again when that is up. The last one given counts."""
        self._check_not_killed("on_timeout")
        self._work.on_timeout(callback)

    async def _wait_for_token(self, name: str | None, token_id: UUID) -> TokenResult:
        step = await self._invocation.token_step(name, token_id)
        if step.outcome is StepOutcome.TIMEOUT:
            return TokenResult(ok=False, error="the token expired before it was completed")
        return TokenResult(ok=True, output=from_json(step.value or NULL))

    async def _create_token(self, name: str | None, new: NewToken) -> JobToken:
        return JobToken(*await self._invocation.create_token(name, new))

    def _check_durable(self, what: str) -> None:
        self._check_not_killed(what)
        if not self._is_async:
            raise Unsupported(f"{what}: only an `async def` handler can have steps and waits")

    def _check_not_killed(self, what: str) -> None:
        if self.job.force_kill_on_timeout:
            raise Unsupported(f"{what}: not in a job that is killed on timeout (force_kill_on_timeout)")


class _Done:
    """Nothing is left to wait for."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_DONE: Final = _Done()


def _duration_of(value: object, what: str) -> timedelta:
    try:
        return parse_duration(value.total_seconds() if isinstance(value, timedelta) else value)
    except ValueError as error:
        raise Invalid(f"{what}: {error}", loc=(what,)) from None
