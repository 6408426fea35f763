"""What a durable handler rests on, small enough to be read at once: step logs, waits and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from dataqueue.domain.events import EventName
from dataqueue.domain.job import Json, Lease, Note, Reported
from dataqueue.domain.steps import NewStep, StepKind, StepOutcome, Wait
from dataqueue.domain.tokens import NewToken, TokenStatus
from tests.storage.queue_model import CANCELLED, PENDING, WAITING, Known, QueueModel

OK, TIMEOUT = StepOutcome.OK, StepOutcome.TIMEOUT


@dataclass
class KnownStep:
    """A step as the model has it."""

    kind: StepKind
    outcome: StepOutcome | None = None
    value: Json | None = None
    token_id: UUID | None = None
    until: datetime | None = None
    awaited_by: int | None = None

    def ended(self, now: datetime) -> StepOutcome | None:
        return OK if self.until is not None and self.until <= now else self.outcome


@dataclass
class KnownToken:
    """A token as the model has it."""

    id: UUID
    job: Known | None
    created_at: datetime
    timeout_at: datetime | None
    tags: tuple[str, ...]
    status: TokenStatus = TokenStatus.WAITING
    output: Json | None = None
    ended_at: datetime | None = None


def shown(steps: Mapping[str, tuple[StepOutcome, Json | None]]) -> str:
    """Steps that are over, as a job shows them."""
    results = {
        name: '{"timeout":true}' if outcome is TIMEOUT else f'{{"ok":{value or "null"}}}'
        for name, (outcome, value) in steps.items()
    }
    return "{" + ",".join(f'"{name}":{result}' for name, result in results.items()) + "}"


class DurableModel(QueueModel):
    """Moves as the contract says, waits and tokens included."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.tokens: dict[UUID, KnownToken] = {}
        self.token_events: list[tuple[EventName, UUID, tuple[str, ...]]] = []

    def save(self, lease: Lease, new: NewStep) -> KnownStep | None:
        job, _ = self._held(lease, set())
        if job is None:
            return None
        step: KnownStep
        if new.name in job.steps:
            step = job.steps[new.name]
            return step
        step = KnownStep(new.kind, OK, new.value)
        if new.token is None:
            job.events.append(EventName.STEP_COMPLETED)
        else:
            step.token_id, step.value = new.token.id, Json(f'{{"id":"{new.token.id}"}}')
            self._make(new.token, job)
        job.steps[new.name] = step
        return step

    def note(self, lease: Lease, note: Note) -> Reported:
        job, _ = self._held(lease, set())
        if job is None:
            return Reported.LOST
        if note.progress is not None:
            job.progress = note.progress
            job.events.append(EventName.PROGRESS)
        if note.output is not None:
            job.output = note.output
            job.events.append(EventName.OUTPUT)
        if note.prolonged_ms is not None:
            job.events.append(EventName.PROLONGED)
        return Reported.OK

    def suspend(self, lease: Lease, waits: Sequence[Wait]) -> Reported:
        job, word = self._held(lease, {EventName.WAITING, EventName.CANCELLED})
        if job is None:
            return word
        if job.cancel:
            self._end(job, CANCELLED, EventName.CANCELLED)
            return word
        awaited = [step for wait in waits if (step := self._await(job, wait)) is not None]
        job.resumes, job.ended_by = True, EventName.WAITING
        job.worker = job.lease_ends = None
        if not awaited or any(step.ended(self._now()) for step in awaited):
            self._move(job, PENDING, EventName.RESUMED)
        else:
            job.wake_at = min((step.until for step in awaited if step.until), default=None)
            job.wait_token_id = next((step.token_id for step in awaited if step.token_id), None)
            self._move(job, WAITING, EventName.WAITING)
        return word

    def in_order_of_log(self, lease: Lease, waits: Sequence[Wait]) -> list[Wait]:
        """Those whose name is in the log first."""
        job = self.find(lease.job_id)
        names = [] if job is None else list(job.steps)
        return sorted(waits, key=lambda wait: names.index(wait.name) if wait.name in names else len(names))

    def create(self, new: NewToken) -> None:
        self._make(new, None)

    def complete_token(self, token_id: UUID, output: Json) -> tuple[bool, set[str]] | None:
        token = self.tokens.get(token_id)
        if token is None:
            return None
        if token.status is not TokenStatus.WAITING:
            return False, set()
        if self._is_up(token):
            return False, {job.job_type for job in self._finish(token, TokenStatus.TIMED_OUT)}
        token.output = output
        return True, {job.job_type for job in self._finish(token, TokenStatus.COMPLETED)}

    def expire(self) -> tuple[int, list[Known]]:
        up = [token for token in self.tokens.values() if self._is_up(token)]
        return len(up), [job for token in up for job in self._finish(token, TokenStatus.TIMED_OUT)]

    def stage(self) -> int:
        due = [job for job in self.jobs if job.status is WAITING and job.wake_at and job.wake_at <= self._now()]
        for job in due:
            self._resume(job)
        return super().stage() + len(due) + len(self.expire()[1])

    def prune_tokens(self, *, keep: timedelta) -> int:
        horizon = self._now() - keep
        gone = [one.id for one in self.tokens.values() if one.job is None and one.ended_at and one.ended_at < horizon]
        for token_id in gone:
            del self.tokens[token_id]
        return len(gone)

    def steps_as_read(self, job: Known) -> dict[str, tuple[StepOutcome, Json | None]]:
        ended = {name: (step.ended(self._now()), step.value) for name, step in job.steps.items()}
        return {name: (outcome, value) for name, (outcome, value) in ended.items() if outcome}

    def _make(self, new: NewToken, job: Known | None) -> None:
        timeout_at = None if new.timeout is None else self._now() + new.timeout
        self.tokens[new.id] = KnownToken(new.id, job, self._now(), timeout_at, new.tags)
        self.token_events.append((EventName.TOKEN_CREATED, new.id, new.tags))

    def _await(self, job: Known, wait: Wait) -> KnownStep | None:
        until = wait.until if wait.delay is None else self._now() + wait.delay
        step: KnownStep = job.steps.setdefault(wait.name, KnownStep(wait.kind, token_id=wait.token_id, until=until))
        if step.kind is not wait.kind:
            return None
        step.awaited_by = job.invocation
        if step.outcome is None and step.token_id is not None:
            token = self.tokens.get(step.token_id)
            if token is None or token.status is TokenStatus.TIMED_OUT:
                step.outcome = TIMEOUT
            elif token.status is TokenStatus.COMPLETED:
                step.outcome, step.value = OK, token.output
        return step

    def _is_up(self, token: KnownToken) -> bool:
        is_waiting = token.status is TokenStatus.WAITING
        return is_waiting and token.timeout_at is not None and token.timeout_at <= self._now()

    def _finish(self, token: KnownToken, status: TokenStatus) -> list[Known]:
        """The jobs that resume."""
        is_ok = status is TokenStatus.COMPLETED
        token.status, token.ended_at = status, self._now()
        self.token_events.append(
            (EventName.TOKEN_COMPLETED if is_ok else EventName.TOKEN_EXPIRED, token.id, token.tags)
        )
        resumed = []
        for job in self.jobs:
            for step in job.steps.values():
                if (step.kind, step.token_id, step.outcome) != (StepKind.TOKEN, token.id, None):
                    continue
                step.outcome, step.value = OK if is_ok else TIMEOUT, token.output
                if job.status is WAITING and step.awaited_by == job.invocation:
                    self._resume(job)
                    resumed.append(job)
        return resumed

    def _resume(self, job: Known) -> None:
        job.resumes, job.wake_at, job.wait_token_id = True, None, None
        self._move(job, PENDING, EventName.RESUMED)

    def _remove(self, job: Known) -> None:
        super()._remove(job)
        for token in [one for one in self.tokens.values() if one.job is job]:
            token.job = None
            if token.status is not TokenStatus.WAITING:
                del self.tokens[token.id]
            else:
                token.timeout_at = min(token.timeout_at or self._now(), self._now())
