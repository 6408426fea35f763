"""What can go wrong, as meanings: they carry data and know neither HTTP nor a driver."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID


class DataQueueError(Exception):
    """The root of every error this package raises on purpose."""

    code = "error"


class NotFound(DataQueueError):
    """No such thing in the caller's namespace."""

    code = "not_found"


class Conflict(DataQueueError):
    """The request is well formed and contradicts what is stored."""

    code = "conflict"


class AlreadyExists(Conflict):
    """The name or id asked for is taken by something else."""

    code = "already_exists"

    def __init__(self, what: str, *, index: int = 0) -> None:
        super().__init__(f"{what} already exists")
        self.index = index


class IllegalTransition(Conflict):
    """The lifecycle has no such move from the job's present status."""

    code = "illegal_transition"

    def __init__(self, verb: str, *, job_id: UUID, status: str) -> None:
        super().__init__(f"cannot {verb} job {job_id}: its status is {status}")
        self.verb, self.job_id, self.status = verb, job_id, status


class IdempotencyInProgress(Conflict):
    """Another transaction holds the same idempotency key and has not ended."""

    code = "idempotency_in_progress"


class TokenAlreadyCompleted(Conflict):
    """The token was completed before, with another output: the first one counts."""

    code = "token_already_completed"


class StepKindChanged(Conflict):
    """The name of a step is taken, in the same job, by something of another kind."""

    code = "step_kind_changed"


class TokenExpired(DataQueueError):
    """The token's time was up before it was completed."""

    code = "token_expired"


class InvalidSignature(DataQueueError):
    """The URL is not one that we gave out."""

    code = "invalid_signature"


class Invalid(DataQueueError):
    """A value is out of the range its field allows; `loc` names the field."""

    code = "validation_failed"

    def __init__(self, message: str, *, loc: Sequence[str | int] = (), code: str | None = None) -> None:
        super().__init__(message)
        self.loc = tuple(loc)
        if code is not None:
            self.code = code


class PositionExpired(DataQueueError):
    """The event log does not reach back that far any more, or does not reach that far yet."""

    code = "position_expired"


class Unauthenticated(DataQueueError):
    """No key, or one that nobody issued."""

    code = "unauthenticated"


class InsufficientScope(DataQueueError):
    """The key is good and does not reach this far."""

    code = "insufficient_scope"

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__(f"this key has none of the scopes that allow this: {', '.join(scopes)}")
        self.scopes = tuple(scopes)


class Unsupported(DataQueueError):
    """This backend, or this kind of handler, cannot do that, and will not pretend to."""

    code = "unsupported"


class StorageUnavailable(DataQueueError):
    """The storage cannot be reached, or the connection broke. `outcome_unknown`: a write may have happened."""

    code = "storage_unavailable"

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class StorageRefused(DataQueueError):
    """The storage refused a write that validation had let through: a fault of ours."""

    code = "storage_refused"


class StorageNotReady(DataQueueError):
    """The storage answers but cannot serve; the message says what to run."""

    code = "storage_not_ready"


class LeaseLost(DataQueueError):
    """The job was taken from this worker; nothing it writes for it counts any more."""

    code = "lease_lost"


class NonDeterministicHandler(DataQueueError):
    """A durable handler does not do what it did in an earlier invocation of the same job: its code has changed, or
    depends on what no step has kept."""

    code = "non_deterministic_handler"
