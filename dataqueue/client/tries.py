"""Whether a call is tried again, and when: a matter of what it is and of what came back, not of who waits how."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import httpx

from dataqueue.client.calls import Call
from dataqueue.client.problems import ServiceUnreachable, error_of, problem_in

T = TypeVar("T")
Outcome = httpx.Response | httpx.RequestError
"""What came of one try."""
_NUMBER_OF_ERROR: Final = re.compile(r"^\[Errno -?\d+\] ")
_BUSY: Final = frozenset({429, 502, 503, 504})
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often a call that may be repeated is tried, and the pauses between: they double, and vary by half.

    A pause that the service asks for (`Retry-After`) is kept to; one longer than `longest` seconds ends it instead.
    """

    tries: int = 4
    first: float = 0.2
    longest: float = 10.0

    def pause(self, failures: int, *, asked: float | None = None) -> float | None:
        """Seconds before the next try; None: enough."""
        if failures >= self.tries or (asked is not None and asked > self.longest):
            return None
        own = min(self.first * 2.0 ** (failures - 1), self.longest) * random.uniform(0.5, 1)
        return own if asked is None else max(asked, own)


PATIENT: Final = Patience()


class Tries(Generic[T]):
    """The tries of one call."""

    def __init__(self, call: Call[T], *, patience: Patience) -> None:
        self._call, self._patience = call, patience
        self._failures = 0

    def pause_after(self, outcome: Outcome) -> float | None:
        """Seconds to wait before trying again; None: this was the last try."""
        if not self._call.repeatable or not self._may_pass(outcome):
            return None
        self._failures += 1
        return self._patience.pause(self._failures, asked=_asked_pause(outcome))

    def result(self, outcome: Outcome) -> T:
        """What the caller gets of the last try: an answer or an error."""
        if isinstance(outcome, httpx.RequestError):
            raise self._unreachable(outcome.request, _reason(outcome), sent=not isinstance(outcome, _NOT_SENT))
        if outcome.is_success:
            return self._call.answer(outcome)
        problem = problem_in(outcome)
        if self._call.if_stored is not None and problem.code == "already_exists":
            return self._call.if_stored
        raise error_of(problem)

    def _may_pass(self, outcome: Outcome) -> bool:
        if isinstance(outcome, httpx.RequestError):
            return not isinstance(outcome, httpx.UnsupportedProtocol)
        if outcome.is_success:
            return not self._call.is_whole(outcome)
        # An earlier try of ours may hold the key, and is about to end.
        return outcome.status_code in _BUSY or problem_in(outcome).code == "idempotency_in_progress"

    def _unreachable(self, request: httpx.Request, reason: str, *, sent: bool) -> ServiceUnreachable:
        url = str(request.url.copy_with(raw_path=b"/")).rstrip("/")
        unknown = sent and self._call.method != "GET"
        return ServiceUnreachable(f"{url} gave no answer: {reason}", url=url, outcome_unknown=unknown)


def _asked_pause(outcome: Outcome) -> float | None:
    if isinstance(outcome, httpx.RequestError):
        return None
    asked = outcome.headers.get("retry-after", "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() else None


def _reason(error: httpx.RequestError) -> str:
    return _NUMBER_OF_ERROR.sub("", str(error)).rstrip(".") or type(error).__name__
