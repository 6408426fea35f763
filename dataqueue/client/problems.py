"""From answers that are problems (RFC 9457) to the errors that the rest of the package raises for the same reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict, cast
from uuid import UUID

import httpx

from dataqueue.client.encoding import decode
from dataqueue.errors import (
    AlreadyExists,
    Conflict,
    DataQueueError,
    IdempotencyInProgress,
    IllegalTransition,
    InsufficientScope,
    Invalid,
    InvalidSignature,
    LeaseLost,
    NotFound,
    PositionExpired,
    StepKindChanged,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
    TokenAlreadyCompleted,
    TokenExpired,
    Unauthenticated,
    Unsupported,
)

_MOST_SHOWN: Final = 200


class FieldError(TypedDict):
    """What is wrong with one field; `loc` starts with body, query, path or header."""

    loc: list[str | int]
    msg: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the service said. `code` is stable: decide by it. `status` is that of HTTP."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    request_id: str | None = None


class ProblemError(DataQueueError):
    """The service refused. One of a kind that `dataqueue.errors` knows is an error of that class as well."""

    def __init__(self, problem: Problem) -> None:
        # Not super(): the other parent's constructor takes what a problem does not have.
        Exception.__init__(self, problem)
        self.problem, self.code = problem, problem.code

    def __str__(self) -> str:
        return self.problem.detail


class ServiceUnreachable(DataQueueError):
    """No answer came. `outcome_unknown`: what was asked may have been done all the same."""

    code = "service_unreachable"

    def __init__(self, message: str, *, url: str, outcome_unknown: bool) -> None:
        super().__init__(message)
        self.url, self.outcome_unknown = url, outcome_unknown

    def __reduce__(self) -> tuple[Any, ...]:
        return _unreachable, (str(self), self.url, self.outcome_unknown)


def problem_in(response: httpx.Response) -> Problem:
    """What an answer that is no success says, also one that something on the way gave in the service's place."""
    body = _object_in(response)
    code, detail = body.get("code"), body.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str):
        return unexpected(response, f"{response.status_code} {response.reason_phrase}".strip())
    errors = body.get("errors")
    return Problem(
        status=response.status_code,
        code=code,
        detail=detail,
        errors=tuple(cast(list[FieldError], errors)) if isinstance(errors, list) else (),
        request_id=body.get("request_id"),
    )


def unexpected(response: httpx.Response, what: str) -> Problem:
    """An answer that DataQueue does not give."""
    return Problem(
        status=response.status_code,
        code="unexpected_answer",
        detail=f"{what[:_MOST_SHOWN]} from {response.url.copy_with(query=None)}: is that a DataQueue?",
        request_id=response.headers.get("x-request-id"),
    )


def error_of(problem: Problem) -> ProblemError:
    """The error to raise."""
    if problem.code == "unexpected_answer":
        return ProblemError(problem)
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status, ProblemError)
    if kind is _IllegalTransition and not _REFUSED.search(problem.detail):
        kind = _Conflict
    return kind(problem)


class _NotFound(ProblemError, NotFound): ...


class _Conflict(ProblemError, Conflict): ...


class _IdempotencyInProgress(ProblemError, IdempotencyInProgress): ...


class _LeaseLost(ProblemError, LeaseLost): ...


class _PositionExpired(ProblemError, PositionExpired): ...


class _TokenAlreadyCompleted(ProblemError, TokenAlreadyCompleted): ...


class _TokenExpired(ProblemError, TokenExpired): ...


class _StepKindChanged(ProblemError, StepKindChanged): ...


class _InvalidSignature(ProblemError, InvalidSignature): ...


class _Unauthenticated(ProblemError, Unauthenticated): ...


class _Unsupported(ProblemError, Unsupported): ...


class _StorageNotReady(ProblemError, StorageNotReady): ...


class _StorageRefused(ProblemError, StorageRefused): ...


class _StorageUnavailable(ProblemError, StorageUnavailable):
    # The service does not say how far it got.
    outcome_unknown = True


class _AlreadyExists(ProblemError, AlreadyExists):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.index = 0


class _Invalid(ProblemError, Invalid):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.loc = tuple(problem.errors[0]["loc"]) if problem.errors else ()


class _InsufficientScope(ProblemError, InsufficientScope):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        _, found, named = problem.detail.partition(": ")
        self.scopes = tuple(named.split(", ")) if found else ()


class _IllegalTransition(ProblemError, IllegalTransition):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        # A problem has no field for these: its sentence names them.
        said = _REFUSED.search(problem.detail)
        assert said is not None
        self.verb, self.job_id, self.status = said[1], UUID(said[2]), said[3]


_REFUSED: Final = re.compile(r"\bcannot (\w+) job ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}): its status is (\w+)")
_KINDS: Final[tuple[type[ProblemError], ...]] = (
    _NotFound,
    _Conflict,
    _IdempotencyInProgress,
    _LeaseLost,
    _PositionExpired,
    _TokenAlreadyCompleted,
    _TokenExpired,
    _StepKindChanged,
    _InvalidSignature,
    _Unauthenticated,
    _Unsupported,
    _StorageNotReady,
    _StorageRefused,
    _StorageUnavailable,
    _AlreadyExists,
    _Invalid,
    _InsufficientScope,
    _IllegalTransition,
)
_BY_CODE: Final[Mapping[str, type[ProblemError]]] = {kind.code: kind for kind in _KINDS}
_BY_STATUS: Final[Mapping[int, type[ProblemError]]] = {
    401: _Unauthenticated,
    403: _InsufficientScope,
    404: _NotFound,
    409: _Conflict,
    410: _PositionExpired,
    422: _Invalid,
    501: _Unsupported,
    503: _StorageUnavailable,
}
"""For codes that are younger than this table."""


def _object_in(response: httpx.Response) -> dict[str, Any]:
    try:
        body = decode(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _unreachable(message: str, url: str, outcome_unknown: bool) -> ServiceUnreachable:
    return ServiceUnreachable(message, url=url, outcome_unknown=outcome_unknown)
