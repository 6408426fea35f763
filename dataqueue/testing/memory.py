"""The step log and the tokens of one job, kept in memory. What a storage promises of them (`dataqueue.storage.port`)
holds here too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic_core import from_json

from dataqueue.clock import ManualClock
from dataqueue.domain.job import NULL, Json
from dataqueue.domain.steps import NewStep, Step, StepKind, StepOutcome, Wait
from dataqueue.domain.tokens import NewToken, Token, TokenStatus
from dataqueue.errors import Conflict, NotFound, TokenAlreadyCompleted, TokenExpired

NAMESPACE: Final = "default"
_BASE: Final = "https://dataqueue.test/v1/tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSeen:
    """A token as it stands. `name`: the step that made it; None: it was there before, of no job.

    `status`: "waiting", "completed" or "timed_out". `output` is parsed. Without a `timeout` it never expires.
    """

    id: UUID
    name: str | None
    status: str
    callback_url: str
    tags: tuple[str, ...] = ()
    timeout: timedelta | None = None
    timeout_at: datetime | None = None
    output: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWait:
    """What a job waits for. `until`: the end of a sleep, or the instant at which the token expires, if it does."""

    name: str
    until: datetime | None = None
    token_id: UUID | None = None


def callback_url(token_id: UUID) -> str:
    """In the form of a real one; nobody answers there."""
    return f"{_BASE}/{token_id}/callback?namespace={NAMESPACE}&signature=test"


class Memory:
    """Of one job. `clock` decides what is over."""

    def __init__(self, job_id: UUID, clock: ManualClock, *, tokens: Iterable[UUID] = ()) -> None:
        """`tokens`: those that are there already, and belong to no job."""
        self._job_id, self._clock = job_id, clock
        self._steps: dict[str, Step] = {}
        self._made: dict[UUID, NewToken] = {}
        self._tokens: dict[UUID, Token] = {}
        for token_id in tokens:
            self._make(NewToken(id=token_id), name=None)

    def steps(self) -> list[Step]:
        """As they stand now, the first stored first."""
        return [self._as_it_stands(step) for step in self._steps.values()]

    def save(self, new: NewStep) -> Step:
        """The first write of a name wins."""
        if new.name not in self._steps:
            value = new.value
            if new.token is not None:
                value = Json(f'{{"id":"{new.token.id}"}}')
                self._make(new.token, name=new.name)
            self._steps[new.name] = Step(name=new.name, kind=new.kind, outcome=StepOutcome.OK, value=value)
        return self._as_it_stands(self._steps[new.name])

    def suspend(self, waits: Sequence[Wait]) -> None:
        """A wait that is in the log goes on as it stands there."""
        for wait in waits:
            until = wait.until if wait.delay is None else self._clock.now() + wait.delay
            step = Step(name=wait.name, kind=wait.kind, outcome=None, token_id=wait.token_id, until=until)
            self._steps.setdefault(wait.name, step)

    def is_over(self, name: str) -> bool:
        """Whether a wait is."""
        return self._as_it_stands(self._steps[name]).outcome is not None

    def open_wait(self, name: str) -> OpenWait:
        step = self._steps[name]
        until = step.until
        if step.token_id is not None and step.token_id in self._tokens:
            until = self._tokens[step.token_id].timeout_at
        return OpenWait(name=name, until=until, token_id=step.token_id)

    def tokens(self) -> list[TokenSeen]:
        """In the order in which they were made."""
        return [self._seen(token_id) for token_id in self._tokens]

    def token(self, token_id: UUID) -> Token:
        """NotFound."""
        if token_id not in self._tokens:
            raise NotFound(f"no token {token_id}")
        token = self._tokens[token_id]
        if token.status is TokenStatus.WAITING and token.timeout_at is not None and token.timeout_at <= self._now():
            token = replace(token, status=TokenStatus.TIMED_OUT, expired_at=token.timeout_at)
            self._tokens[token_id] = token
        return token

    def complete(self, token_id: UUID, output: Json) -> None:
        """NotFound; TokenExpired; TokenAlreadyCompleted, with another output."""
        token = self.token(token_id)
        match token.status:
            case TokenStatus.TIMED_OUT:
                raise TokenExpired(f"token {token_id} expired before it was completed")
            case TokenStatus.COMPLETED if token.output != output:
                raise TokenAlreadyCompleted(f"token {token_id} was completed with another output")
            case TokenStatus.WAITING:
                self._tokens[token_id] = replace(
                    token, status=TokenStatus.COMPLETED, output=output, completed_at=self._now()
                )

    def find_token(self, which: UUID | str) -> UUID:
        """By its id, or by the name of the step that made it. Conflict: there is none."""
        for token in self.tokens():
            if which in (token.id, str(token.id), token.name):
                return token.id
        raise Conflict(f"there is no token {which!r}; there are {[token.name or token.id for token in self.tokens()]}")

    def _make(self, new: NewToken, *, name: str | None) -> None:
        now = self._now()
        self._made[new.id] = new
        self._tokens[new.id] = Token(
            id=new.id,
            namespace=NAMESPACE,
            status=TokenStatus.WAITING,
            tags=new.tags,
            job_id=None if name is None else self._job_id,
            name=name,
            output=None,
            timeout_at=None if new.timeout is None else now + new.timeout,
            created_at=now,
            completed_at=None,
            expired_at=None,
        )

    def _seen(self, token_id: UUID) -> TokenSeen:
        token, new = self.token(token_id), self._made[token_id]
        return TokenSeen(
            id=token.id,
            name=token.name,
            status=token.status.value,
            callback_url=callback_url(token.id),
            tags=token.tags,
            timeout=new.timeout,
            timeout_at=token.timeout_at,
            output=from_json(token.output or NULL),
        )

    def _as_it_stands(self, step: Step) -> Step:
        if step.kind is StepKind.SLEEP and step.until is not None and step.until <= self._now():
            return replace(step, outcome=StepOutcome.OK, value=NULL)
        if step.kind is StepKind.TOKEN and step.token_id is not None:
            # One that is unknown counts as expired.
            token = self.token(step.token_id) if step.token_id in self._tokens else None
            if token is None or token.status is TokenStatus.TIMED_OUT:
                return replace(step, outcome=StepOutcome.TIMEOUT)
            if token.status is TokenStatus.COMPLETED:
                return replace(step, outcome=StepOutcome.OK, value=token.output)
        return step

    def _now(self) -> datetime:
        return self._clock.now()
