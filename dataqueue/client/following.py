"""Following the event stream: what is asked for, what its lines say, and how one comes back to it."""

from __future__ import annotations

import random
from typing import Any, Final, TypedDict, cast

import httpx

from dataqueue.client.answers import Event
from dataqueue.client.encoding import decode
from dataqueue.client.fields import Id, filter_query
from dataqueue.client.problems import ServiceUnreachable, error_of, problem_in
from dataqueue.client.tries import Patience

_SILENT_FOR: Final = 45.0
"""Seconds without a line after which a stream is given up: a sign of life comes every 15."""
_BUSY: Final = frozenset({429, 500, 502, 503, 504})


class EventFilter(TypedDict, total=False):
    """Which events. Values of one field are alternatives, fields narrow each other; `tags` go by `tag_mode`."""

    event: str | list[str] | None
    job_id: Id | list[Id] | None
    job_type: str | list[str] | None
    tags: str | list[str] | None
    tag_mode: str | None


class Following:
    """One reader's way along the stream, across the connections it takes."""

    def __init__(self, where: EventFilter, *, after: str, patience: Patience, url: str) -> None:
        self._where = filter_query(cast(Any, where))
        self._after, self._patience, self._url = after, patience, url
        self._place: str | None = None
        self._id: str | None = None
        self._data: list[str] = []
        self._retry: float | None = None
        self._failures = 0
        self._has_begun = False

    def take(self, line: str) -> Event | None:
        """A line of the stream; the event that it completes (WHATWG HTML, 9.2.6)."""
        self._failures, self._has_begun = 0, True
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "id":
                self._id = value
            case "retry" if value.isdecimal():
                self._retry = int(value) / 1000
        if line:
            return None
        # Only now: of a block that is cut off, the id is not that of an event one has had.
        self._place = self._id
        if not self._data:
            return None
        data, self._data = "\n".join(self._data), []
        return cast(Event, decode(data.encode()))

    def request(self, http: httpx.Client | httpx.AsyncClient, *, timeout: float) -> httpx.Request:
        """The next request: from where it stands, once there is a place to resume from."""
        place = {} if self._place is None else {"last-event-id": self._place}
        return http.build_request(
            "GET",
            "/v1/events",
            params=(*self._where, ("after", self._after)),
            headers={"accept": "text/event-stream", **place},
            timeout=httpx.Timeout(timeout, read=_SILENT_FOR, pool=None),
        )

    def pause_after(self, ended: httpx.Response | httpx.RequestError | None) -> float:
        """Seconds until the stream is asked for again; None: it ended by itself.

        Raises what the service refused. ServiceUnreachable: it could not be reached at all, as often as one is patient;
        once there was a stream, one is patient for ever.
        """
        # What was cut off in the middle comes again, whole.
        self._data, self._id = [], self._place
        self._failures += ended is not None
        is_over = not self._has_begun and self._failures >= self._patience.tries
        if isinstance(ended, httpx.Response) and (is_over or ended.status_code not in _BUSY):
            raise error_of(problem_in(ended))
        if is_over:
            raise ServiceUnreachable(f"{self._url} gave no answer: {ended}", url=self._url, outcome_unknown=False)
        asked, self._retry = self._retry, None
        if asked is not None:
            return asked
        longest = min(self._patience.first * 2.0 ** min(self._failures, 10), self._patience.longest)
        return longest * random.uniform(0.5, 1)
