"""What a worker and the process of an isolated job write to each other: a JSON text a line, `["Kind", {…}]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from pydantic import PlainSerializer, PlainValidator, TypeAdapter
from pydantic_core import from_json

from dataqueue import errors
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Note
from dataqueue.domain.steps import NewStep, Step
from dataqueue.domain.tokens import Token
from dataqueue.outcome import Completed, Crashed, Failed, Gone, Outcome, Released, Suspended

_OUTCOMES: Final[dict[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Completed, Failed, Suspended, Released, Crashed, Gone)
}


def _outcome_out(outcome: Outcome) -> list[Any]:
    kind = type(outcome).__name__
    return [kind, _OUTCOMES[kind].dump_python(outcome, mode="json")]


def _outcome_in(value: Any) -> Any:
    # Some have no fields: only their names tell them apart.
    if not isinstance(value, list):
        return value
    kind, fields = value
    return _OUTCOMES[kind].validate_python(fields)


@dataclass(frozen=True, slots=True)
class Run:
    """Worker: the job to do. `grace`: seconds that a handler which was told to stop may take."""

    job: ClaimedJob
    grace: float


@dataclass(frozen=True, slots=True)
class Ready:
    """Child: the handlers are loaded and the start-up hooks have run. Not `fit`: or they failed; then it answers a job
    with what went wrong, and is of no other use."""

    fit: bool


@dataclass(frozen=True, slots=True)
class Started:
    """Child: the handler is about to be called, and the job's own time begins. `at`: by the machine's steady clock."""

    at: float

    def deadline(self, job: ClaimedJob) -> float | None:
        """Of a job that is to be killed."""
        return None if job.timeout_ms is None else self.at + job.timeout_ms / 1000


@dataclass(frozen=True, slots=True)
class Ended:
    """Child: what the attempt ended in. `left`: what the job left running, in words for the log."""

    outcome: Annotated[Outcome, PlainSerializer(_outcome_out), PlainValidator(_outcome_in)]
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """Child: the handler says something. Needs no answer."""

    note: Note


@dataclass(frozen=True, slots=True)
class Prolonged:
    """Child: the job's time is up so many milliseconds from now. Needs no answer."""

    ms: int


@dataclass(frozen=True, slots=True)
class ReadSteps:
    """Child: `Work.steps`; as each that follows, answered under its number."""

    n: int


@dataclass(frozen=True, slots=True)
class SaveStep:
    n: int
    step: NewStep


@dataclass(frozen=True, slots=True)
class ReadToken:
    n: int
    token_id: UUID


@dataclass(frozen=True, slots=True)
class ReadCallbackUrl:
    n: int
    token_id: UUID


@dataclass(frozen=True, slots=True)
class Answer:
    """Worker: what a call returned."""

    n: int
    value: tuple[Step, ...] | Step | Token | str


@dataclass(frozen=True, slots=True)
class Raised:
    """Worker: what a call raised. `kind`: the name of its class."""

    n: int
    kind: str
    message: str
    outcome_unknown: bool = False


Call: TypeAlias = ReadSteps | SaveStep | ReadToken | ReadCallbackUrl
FromChild: TypeAlias = Ready | Started | Ended | Noted | Prolonged | Call
FromWorker: TypeAlias = Run | Answer | Raised
Message: TypeAlias = FromChild | FromWorker

_KINDS: Final = (
    *(Ready, Started, Ended, Noted, Prolonged, ReadSteps, SaveStep, ReadToken, ReadCallbackUrl),
    *(Run, Answer, Raised),
)
_MESSAGES: Final[dict[str, TypeAdapter[Any]]] = {kind.__name__: TypeAdapter(kind) for kind in _KINDS}
_ERRORS: Final[dict[str, type[errors.DataQueueError]]] = {
    kind.__name__: kind
    for kind in (
        errors.LeaseLost,
        errors.NotFound,
        errors.Invalid,
        errors.StepKindChanged,
        errors.NonDeterministicHandler,
        errors.Unsupported,
        errors.StorageRefused,
        errors.StorageNotReady,
    )
}
"""Those that a message makes again."""


def to_line(message: Message) -> bytes:
    kind = type(message).__name__
    return b'["%s",%s]\n' % (kind.encode(), _MESSAGES[kind].dump_json(message))


def from_line(line: bytes | bytearray) -> Any:
    """The message; of what kind, its reader looks."""
    kind, fields = from_json(line)
    # Strings stand for durations and instants, as in any JSON.
    return _MESSAGES[kind].validate_python(fields)


def raised(n: int, error: Exception) -> Raised:
    return Raised(n, type(error).__name__, str(error), getattr(error, "outcome_unknown", False))


def error_of(raised: Raised) -> Exception:
    """The same error, as far as a handler may want to catch it; any other is a RuntimeError."""
    if raised.kind == errors.StorageUnavailable.__name__:
        return errors.StorageUnavailable(raised.message, outcome_unknown=raised.outcome_unknown)
    if (kind := _ERRORS.get(raised.kind)) is not None:
        return kind(raised.message)
    return RuntimeError(f"{raised.kind}: {raised.message}")
