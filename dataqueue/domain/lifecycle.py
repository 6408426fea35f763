"""The lifecycle of a job, as one table. The statements, the documentation and the tests agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dataqueue.domain.events import EventName
from dataqueue.domain.job import JobStatus

PENDING, PROCESSING, WAITING = JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.WAITING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED


class Verb(StrEnum):
    ENQUEUE = "enqueue"
    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    SUSPEND = "suspend"
    WAKE = "wake"
    NOTE = "note"
    RELEASE = "release"
    RECLAIM = "reclaim"
    CANCEL = "cancel"
    RETRY = "retry"
    EDIT = "edit"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Transition:
    """One way to move: from any of `sources`, under `when`, to `to`, told by `event`."""

    sources: frozenset[JobStatus]
    to: JobStatus | None
    event: EventName | None
    when: str = ""


def _move(*sources: JobStatus, to: JobStatus | None, event: EventName | None, when: str = "") -> Transition:
    return Transition(frozenset(sources), to, event, when)


_ASKED_TO_STOP: Final = "a cancel was requested meanwhile"

TRANSITIONS: Final[dict[Verb, tuple[Transition, ...]]] = {
    Verb.ENQUEUE: (_move(to=PENDING, event=EventName.ADDED),),
    Verb.CLAIM: (_move(PENDING, to=PROCESSING, event=EventName.PROCESSING, when="ready and its type is served"),),
    Verb.COMPLETE: (_move(PROCESSING, to=COMPLETED, event=EventName.COMPLETED),),
    Verb.FAIL: (
        _move(
            PROCESSING,
            to=PENDING,
            event=EventName.FAILED,
            when="an attempt is left and the failure may be retried",
        ),
        _move(PROCESSING, to=FAILED, event=EventName.FAILED, when="no attempt is left, or a retry is pointless"),
        _move(PROCESSING, to=CANCELLED, event=EventName.CANCELLED, when=_ASKED_TO_STOP),
    ),
    Verb.SUSPEND: (
        _move(PROCESSING, to=WAITING, event=EventName.WAITING, when="its handler waits"),
        _move(PROCESSING, to=PENDING, event=EventName.RESUMED, when="what its handler waits for has come already"),
        _move(PROCESSING, to=CANCELLED, event=EventName.CANCELLED, when=_ASKED_TO_STOP),
    ),
    Verb.WAKE: (
        _move(
            WAITING,
            to=PENDING,
            event=EventName.RESUMED,
            when="the instant has come, or the token is completed or expired; the next claim resumes it",
        ),
    ),
    Verb.NOTE: (
        _move(PROCESSING, to=PROCESSING, event=EventName.PROGRESS, when="its handler says how far it is"),
        _move(PROCESSING, to=PROCESSING, event=EventName.OUTPUT, when="its handler sets the output"),
        _move(PROCESSING, to=PROCESSING, event=EventName.PROLONGED, when="its handler asks for more time"),
    ),
    Verb.RELEASE: (
        _move(PROCESSING, to=PENDING, event=EventName.RELEASED, when="its worker gives it back"),
        _move(PROCESSING, to=CANCELLED, event=EventName.CANCELLED, when=_ASKED_TO_STOP),
    ),
    Verb.RECLAIM: (
        _move(PROCESSING, to=PENDING, event=EventName.RECLAIMED, when="its lease has expired"),
        _move(PROCESSING, to=FAILED, event=EventName.FAILED, when="its lease has expired once too often"),
        _move(PROCESSING, to=CANCELLED, event=EventName.CANCELLED, when=_ASKED_TO_STOP),
    ),
    Verb.CANCEL: (
        _move(PENDING, WAITING, to=CANCELLED, event=EventName.CANCELLED),
        _move(
            PROCESSING,
            to=PROCESSING,
            event=None,
            when="its worker is told at the next heartbeat, then it is cancelled",
        ),
    ),
    Verb.RETRY: (_move(FAILED, CANCELLED, to=PENDING, event=EventName.RETRIED),),
    Verb.EDIT: (_move(PENDING, to=PENDING, event=EventName.EDITED),),
    Verb.DELETE: (_move(COMPLETED, FAILED, CANCELLED, to=None, event=None),),
}
"""`sources` empty: the verb makes the job. `to` None: the job is gone, and what happened to it stays in the log."""


def allows(verb: Verb, status: JobStatus) -> bool:
    """Whether the lifecycle has any move by `verb` from `status`."""
    return any(status in move.sources for move in TRANSITIONS[verb])
