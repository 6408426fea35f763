"""From meanings to answers: RFC 9457 problems, one table, and never a byte of what the caller sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import orjson
from starlette.exceptions import HTTPException

from dataqueue.errors import (
    Conflict,
    DataQueueError,
    InsufficientScope,
    Invalid,
    InvalidSignature,
    LeaseLost,
    NotFound,
    PositionExpired,
    StorageNotReady,
    StorageRefused,
    StorageUnavailable,
    TokenExpired,
    Unauthenticated,
    Unsupported,
)

Headers = tuple[tuple[bytes, bytes], ...]
MOST_ERRORS: Final = 10
PROBLEM_JSON: Final = b"application/problem+json"


class Code(StrEnum):
    """Every `code` a problem or one of its errors may carry. They are stable: programs decide by them."""

    ALREADY_EXISTS = "already_exists"
    BODY_TOO_LARGE = "body_too_large"
    CONFLICT = "conflict"
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress"
    ILLEGAL_TRANSITION = "illegal_transition"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    INTERNAL_ERROR = "internal_error"
    INVALID_CURSOR = "invalid_cursor"
    INVALID_JSON = "invalid_json"
    INVALID_SIGNATURE = "invalid_signature"
    LEASE_LOST = "lease_lost"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_AVAILABLE = "not_available"
    NOT_FOUND = "not_found"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    POSITION_EXPIRED = "position_expired"
    STEP_KIND_CHANGED = "step_kind_changed"
    STORAGE_NOT_READY = "storage_not_ready"
    STORAGE_REFUSED = "storage_refused"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    TOKEN_ALREADY_COMPLETED = "token_already_completed"
    TOKEN_EXPIRED = "token_expired"
    TOO_MANY_STREAMS = "too_many_streams"
    UNAUTHENTICATED = "unauthenticated"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    VALIDATION_FAILED = "validation_failed"


STATUS_OF: Final[dict[type[DataQueueError], int]] = {
    NotFound: 404,
    Conflict: 409,
    LeaseLost: 409,
    PositionExpired: 410,
    TokenExpired: 410,
    Invalid: 422,
    Unauthenticated: 401,
    InsufficientScope: 403,
    InvalidSignature: 403,
    Unsupported: 501,
    StorageUnavailable: 503,
    StorageNotReady: 503,
    StorageRefused: 500,
    DataQueueError: 500,
}
_HEADERS_OF: Final[dict[int, Headers]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    503: ((b"retry-after", b"1"),),
}
_HTTP_CODES: Final = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.BODY_TOO_LARGE}
_UNAVAILABLE: Final = "The storage cannot be reached at the moment. Try again."
_NO_PATH: Final = "There is no such path. /docs lists those there are."
_INTERNAL: Final = "An unexpected error occurred. It was logged under this request_id."


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `loc` starts with body, query, path or header."""

    loc: tuple[str | int, ...]
    msg: str
    code: str = Code.VALIDATION_FAILED


class Problem(Exception):
    """An answer that is not the one hoped for."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Headers = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors = tuple(errors[:MOST_ERRORS])
        self.headers = headers or _HEADERS_OF.get(status, ())

    @property
    def title(self) -> str:
        return self.code.replace("_", " ").capitalize()

    def body(self, *, request_id: str) -> bytes:
        """The problem as JSON."""
        problem: dict[str, object] = {
            "type": f"urn:dataqueue:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            problem["errors"] = [{"loc": e.loc, "msg": e.msg, "code": e.code} for e in self.errors]
        problem["request_id"] = request_id
        return orjson.dumps(problem)


def invalid(loc: Sequence[str | int], msg: str, code: str = Code.VALIDATION_FAILED) -> Problem:
    """A 422 about one field."""
    return faults([FieldError(tuple(loc), msg, code)])


def faults(errors: Sequence[FieldError], *, total: int | None = None) -> Problem:
    """A 422 about fields. Its code is theirs when they agree, else `validation_failed`."""
    codes = {error.code for error in errors}
    code = codes.pop() if len(codes) == 1 else Code.VALIDATION_FAILED
    first, count = errors[0], total or len(errors)
    detail = f"{'.'.join(str(part) for part in first.loc)}: {first.msg}"
    if count > 1:
        detail += f" (and {count - 1} more)"
    return Problem(422, code, detail, errors=errors)


def problem_of(error: Exception) -> Problem:
    """The answer for whatever was raised."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DataQueueError):
        return _of_meaning(error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        code = _HTTP_CODES.get(error.status_code, Code.VALIDATION_FAILED)
        headers = tuple((k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items())
        detail = _NO_PATH if code is Code.NOT_FOUND else HTTPStatus(error.status_code).phrase
        return Problem(error.status_code, code, detail, headers=headers)
    return Problem(500, Code.INTERNAL_ERROR, _INTERNAL)


def _of_meaning(error: DataQueueError) -> Problem:
    status = next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
    if isinstance(error, Invalid):
        return invalid(("body", *error.loc), str(error), error.code)
    if isinstance(error, StorageUnavailable):
        # Its own words name hosts and users.
        return Problem(status, error.code, _UNAVAILABLE)
    return Problem(status, error.code, _INTERNAL if status == 500 else str(error))
