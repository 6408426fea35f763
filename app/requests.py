"""Counting answers: by method, route and status, which are all bounded, and never by path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import Metric
from starlette.types import Scope

from dataqueue.metrics.counting import OTHER, Histogram, Occurrences
from dataqueue.metrics.families import counter, histogram

_UNKNOWN: Final = "_unknown"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Requests:
    """The answers of one process. An answer counts when it begins, so that a stream counts while it is open."""

    def __init__(self) -> None:
        self._answers: Occurrences[tuple[str, str, int]] = Occurrences()
        self._durations: dict[tuple[str, str], Histogram] = {}

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """An answer begins, so many seconds after its request arrived."""
        method, route = scope["method"], scope.get("route")
        path = _UNKNOWN if route is None else route.path
        if method not in _METHODS:
            method = OTHER
        self._answers[method, path, status] += 1
        if status == 405 or method == "OPTIONS":
            # What a route does not do is no reason to keep a histogram of it.
            path = _UNKNOWN
        durations = self._durations.get((method, path))
        if durations is None:
            durations = self._durations[method, path] = Histogram(_BOUNDS)
        durations.observe(seconds)

    def families(self) -> Iterable[Metric]:
        answers = {(method, path, str(status)): count for (method, path, status), count in self._answers.copy().items()}
        yield counter("http_requests", "Answers, by what was asked.", ("method", "route", "status"), answers)
        meaning = "From a request's arrival to the beginning of its answer."
        yield histogram("http_request_duration_seconds", meaning, ("method", "route"), self._durations.copy())
