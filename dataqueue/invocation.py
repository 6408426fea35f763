"""One call of a durable handler: what was done before comes from the step log, what is new goes into it."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from pydantic_core import from_json

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import NULL, Json, Note
from dataqueue.domain.steps import NewStep, Step, StepKind, Wait
from dataqueue.domain.tokens import NewToken
from dataqueue.errors import Invalid
from dataqueue.json_text import Unstorable, json_text
from dataqueue.replay import Replay
from dataqueue.work import Work

T = TypeVar("T")

_SPINS: Final = 20
"""Times that the loop goes round, so that what runs beside a wait gets to where it waits or works too."""
_NOTHING: Final = Replay(())
_STEP: Final[ContextVar[tuple[Invocation, str] | None]] = ContextVar("step", default=None)


class Suspension(BaseException):
    """Ends an invocation whose handler waits. No Exception: a handler does not catch it by accident."""


class Invocation:
    """Behind the durable methods of a JobContext, which has looked at their arguments. Not thread-safe.

    Parts of a handler that run side by side (`gather`, a TaskGroup) may use it at a time. A wait ends the invocation
    once no step is under way: what is done beside a wait shall not have to be done again, nor be put off.
    """

    def __init__(self, job: ClaimedJob, work: Work, *, main: asyncio.Task[Any] | None = None) -> None:
        """`main`: the task in which the handler is called."""
        self._job, self._work, self._main = job, work, main
        self._replay, self._is_replaying = _NOTHING, False
        self._held_back: Note | None = None
        self._promised: list[str] = []
        self._counts = {"wait": 0, "token": 0}
        self._beside: WeakKeyDictionary[asyncio.Task[Any], list[str]] | None = None
        self._own_tokens: set[UUID] = set()
        self._waits: list[Wait] = []
        self._is_parked = False
        self._running = 0
        self._quiet: asyncio.Event | None = None
        self.output: Json | None = None
        """As the handler has set it."""

    async def load(self) -> None:
        """Read the step log, before the handler is called: to meet what is in it then takes no time, and the parts of
        a handler come to it in the same order each time."""
        self._replay = Replay(await self._work.steps() if self._job.has_steps else ())
        self._is_replaying = self._replay.is_behind

    def promise(self, call: str, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """The same work. A handler that returns without having awaited it has forgotten something: see `finish`."""
        self._promised.append(call)
        return self._kept(call, work)

    def note(self, note: Note) -> None:
        """Keep what the handler says. What it says while it goes over what it has done before was said then, and would
        take its progress back: of that only the last word counts, once it goes on to something new."""
        if self._held_back is not None:
            note, self._held_back = self._held_back.followed_by(note), None
        if self._is_replaying:
            self._held_back = note
        else:
            self._work.note(note)

    def finish(self) -> None:
        """The handler has returned. Invalid, if a step or a wait was forgotten."""
        if self._promised:
            raise Invalid(f"ctx.{self._promised[0]} was never awaited: write `await ctx.{self._promised[0]}`")
        self._go_on()

    @property
    def is_parked(self) -> bool:
        """Whether the handler has been ended at a wait, whatever it made of that."""
        return self._is_parked

    async def waits(self) -> tuple[Wait, ...]:
        """What the handler, which has ended, waits for. NonDeterministicHandler, if it should have waited for something
        else before."""
        for _ in range(_SPINS if self._beside else 0):
            await asyncio.sleep(0)
        for wait in self._waits:
            self._replay.check_new_wait(wait.name, wait.kind)
        return tuple(self._waits)

    def _meet(self, name: str, kind: StepKind, *, token_id: UUID | None = None) -> Step | None:
        step = self._replay.meet(name, kind, token_id=token_id)
        if step is None:
            self._go_on()
        elif not self._replay.is_behind:
            # What is said from here on is new; what was held back so far comes with it, or at the end.
            self._is_replaying = False
        return step

    async def _kept(self, call: str, work: Coroutine[Any, Any, T]) -> T:
        self._promised.remove(call)
        return await work

    def _go_on(self) -> None:
        """To something that no earlier invocation has done."""
        self._is_replaying = False
        if self._held_back is not None:
            held_back, self._held_back = self._held_back, None
            self._work.note(held_back)

    async def run(self, name: str, function: functools.partial[Any]) -> Any:
        """See `JobContext.run`."""
        self._name("run", name)
        if (step := self._meet(name, StepKind.RUN)) is None:
            with self.under_way(name):
                step = await self._run_anew(name, function)
        return _value_of(step)

    async def sleep(self, name: str | None, *, until: datetime | None = None, delay: timedelta | None = None) -> None:
        """See `JobContext.wait_for` and `wait_until`."""
        name = self._name("wait", name)
        step = self._meet(name, StepKind.SLEEP)
        if step is None or step.outcome is None:
            await self._park(Wait(name=name, until=until, delay=delay))

    async def token_step(self, name: str | None, token_id: UUID) -> Step:
        """The step of a wait for a token, once that is over. See `JobContext.wait_for_token`."""
        name = self._name("wait", name)
        step = self._meet(name, StepKind.TOKEN, token_id=token_id)
        if step is None and token_id not in self._own_tokens:
            with self.under_way(name):
                await self._work.token(token_id)
        if step is None or step.outcome is None:
            await self._park(Wait(name=name, token_id=token_id))
        assert step is not None
        return step

    async def create_token(self, name: str | None, new: NewToken) -> tuple[UUID, str]:
        """The id and the callback URL of the token that was made under the name. See `JobContext.create_token`."""
        name = self._name("token", name)
        step = self._meet(name, StepKind.CREATE_TOKEN)
        with self.under_way(name):
            if step is None:
                step = await self._store(NewStep(name=name, token=new))
            token_id = UUID(_value_of(step)["id"])
            self._own_tokens.add(token_id)
            return token_id, await self._work.callback_url(token_id)

    def step_id(self) -> str:
        """See `JobContext.step_id`."""
        if (name := self._step()) is None:
            raise Invalid("step_id: there is one only inside a function that ctx.run() calls")
        return f"{self._job.id}:{name}"

    @contextmanager
    def under_way(self, name: str) -> Iterator[None]:
        """Nothing is parked meanwhile. Once something is, nothing is begun: the invocation ends."""
        if self._is_parked:
            raise self._suspension(name)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running and self._quiet is not None:
                self._quiet.set()

    async def _run_anew(self, name: str, function: functools.partial[Any]) -> Step:
        token = _STEP.set((self, name))
        try:
            value = function() if inspect.iscoroutinefunction(function.func) else await self._work.call(function)
            if inspect.isawaitable(value):
                value = await value
        finally:
            _STEP.reset(token)
        try:
            text = json_text(value)
        except Unstorable as error:
            raise Invalid(f"the result of step {name!r} {error}") from error.__cause__
        self._replay.check_room(name, text)
        return await self._store(NewStep(name=name, value=text))

    async def _store(self, new: NewStep) -> Step:
        step = await self._work.save_step(new)
        self._replay.add(step, as_kind=new.kind)
        return step

    async def _park(self, wait: Wait) -> None:
        if (step := self._step()) is not None:
            raise Invalid(f"wait {wait.name!r} is inside step {step!r}: a step cannot wait, only the handler can")
        self._go_on()
        self._waits.append(wait)
        try:
            await self._rest()
        except asyncio.CancelledError:
            # The handler has lost interest in it.
            self._waits.remove(wait)
            raise
        self._is_parked = True
        raise self._suspension(wait.name)

    async def _rest(self) -> None:
        """Until nothing is under way, and nobody who has heard of the end of a step goes on to another."""
        spins = 0
        while spins < _SPINS and not self._is_parked:
            if self._running:
                self._quiet = self._quiet or asyncio.Event()
                self._quiet.clear()
                await self._quiet.wait()
                spins = 0
            await asyncio.sleep(0)
            spins += 1

    def _suspension(self, name: str) -> Suspension:
        if (task := asyncio.current_task()) is not None and task is not self._main:
            task.add_done_callback(_heard)
        return Suspension(name)

    def _step(self) -> str | None:
        """The step of this invocation in which it is asked."""
        inside = _STEP.get()
        return None if inside is None or inside[0] is not self else inside[1]

    def _name(self, what: str, name: str | None) -> str:
        """The name, or the next of its kind. In a task beside the handler's own, only what comes first may go without:
        whatever was done before it in another task may take another time when it is replayed."""
        task = asyncio.current_task()
        if task is not None and task is not self._main:
            if self._beside is None:
                self._beside = WeakKeyDictionary()
            earlier = self._beside.setdefault(task, [])
            if name is None and earlier != (["token"] if what == "wait" else [])[: len(earlier)]:
                raise Invalid(f"this {what} is beside other parts of the handler, and not the first: give it a name")
            earlier.append(what)
        if name is None:
            self._counts[what] += 1
            name = f"{what}:{self._counts[what]}"
        return name


def _value_of(step: Step) -> Any:
    return from_json(step.value or NULL)


def _heard(task: asyncio.Task[Any]) -> None:
    """A suspension is no exception that somebody forgot to look at."""
    if not task.cancelled():
        task.exception()
